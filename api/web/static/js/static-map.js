// What map.js shows on the map of a static site: its points are in `imagoMap`, a script; what is known of units in the
// parts of the index, of which those are loaded that are needed. `imagoMap.parts` says where each begins: [layer, unit].

globalThis.imagoMapSource = (() => {
  const units = new Map(); // by "layer/unit"
  let taken = 0;

  const partOf = (layer, unit) => {
    let found = -1;
    imagoMap.parts.forEach(([of, first], number) => { if (of === layer && first <= unit) found = number; });
    return found;
  };

  // Parts that have come since the last look.
  const take = () => {
    for (; taken < imagoIndex.layers.length; taken++) {
      const [layer, , rows] = imagoIndex.layers[taken];
      for (const [unit, name, digest, [seen]] of rows) {
        if (!digest) continue;
        const label = seen ? imagoIndex.classes[seen[0]] : name;
        units.set(`${layer}/${unit}`, { layer, unit, label, picture: imagoIndex.picture(digest) });
      }
    }
  };

  return {
    async read() {
      const text = atob(imagoMap.points), bytes = new Uint8Array(text.length);
      for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
      return { columns: bytes.buffer, labels: imagoMap.labels };
    },
    async units(places) {
      const wanted = places.map((place) => place.split(":").map(Number)).map(([layer, unit]) => [imagoMap.layers[layer], unit]);
      const parts = new Set(wanted.map(([layer, unit]) => partOf(layer, unit)));
      parts.delete(-1);
      await Promise.all([...parts].map((number) => imagoIndex.load(number)));
      take();
      return wanted.map(([layer, unit]) => units.get(`${layer}/${unit}`)).filter(Boolean);
    },
  };
})();
