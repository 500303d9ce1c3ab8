// What map.js shows on the map of a static site: its points are in `imagoMap`, a script; what is known of units in the
// parts of the index, of which those are loaded that are needed.

globalThis.imagoMapSource = {
  async read() {
    const text = atob(imagoMap.points), bytes = new Uint8Array(text.length);
    for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
    return { columns: bytes.buffer, labels: imagoMap.labels };
  },
  async units(places) {
    const found = await Promise.all(places.map(async (place) => {
      const [at, unit] = place.split(":").map(Number), layer = imagoMap.layers[at];
      const part = imagoIndex.partOf(imagoIndex.layers.findIndex(([name]) => name === layer), unit);
      const row = part === null ? null : (await imagoIndex.part(part)).find((each) => each.unit === unit);
      if (!row?.digest) return null;
      const label = row.seen.length ? imagoIndex.classes[row.seen[0][0]] : row.name;
      const probability = row.seen.length ? row.seen[0][1] / 1000 : null; // the index has thousandths
      return { layer, unit, label, probability, picture: imagoIndex.picture(row.digest) };
    }));
    return found.filter(Boolean);
  },
};
