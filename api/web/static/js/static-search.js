// Searches the labels of a static site. A classic script, and so are the parts of the index: pages that are opened from
// a file may load nothing else. `imagoIndex.classes` and the calls of `add` come from those.

globalThis.imagoIndex = {
  classes: [],
  layers: [], // [name, folder, rows], a row being [unit, name, digest, [[class, thousandths], …]]
  add(part) {
    this.layers.push(part);
  },
};

(() => {
  const MOST = 200;
  const THUMBNAIL = 128;

  // What a unit is called counts more than what its network sees in its picture.
  const found = (wanted) => {
    const hits = [];
    const matches = imagoIndex.classes.map((label) => label.toLowerCase().includes(wanted));
    for (const [layer, folder, rows] of imagoIndex.layers) {
      for (const [unit, name, digest, seen] of rows) {
        const best = seen.find(([index]) => matches[index]);
        if (name?.toLowerCase().includes(wanted)) hits.push({ layer, folder, unit, digest, said: name, weight: 2000 });
        else if (best) {
          const [index, weight] = best;
          hits.push({ layer, folder, unit, digest, said: imagoIndex.classes[index], weight });
        }
      }
    }
    return hits.sort((one, other) => other.weight - one.weight);
  };

  const cell = ({ layer, folder, unit, digest, said, weight }) => {
    const item = document.createElement("li");
    item.className = "cell";
    const link = document.createElement("a");
    link.href = `${folder}/units/${unit}.html`;
    if (digest) {
      const image = new Image(THUMBNAIL, THUMBNAIL);
      image.loading = "lazy";
      image.alt = `Preferred input of unit ${unit} of ${layer}`;
      image.src = `pictures/${digest.slice(0, 2)}/${digest}-${THUMBNAIL}.webp`;
      link.append(image);
    }
    const caption = document.createElement("span");
    caption.className = "caption";
    const number = document.createElement("b");
    number.textContent = `${layer} ${unit}`;
    caption.append(number, weight > 1000 ? "" : `${(weight / 10).toFixed(0)} %`);
    const quiet = document.createElement("span");
    quiet.className = "caption quiet";
    quiet.textContent = said.split(",")[0];
    link.append(caption, quiet);
    item.append(link);
    return item;
  };

  addEventListener("DOMContentLoaded", () => {
    const asked = (new URLSearchParams(location.search).get("q") ?? "").trim();
    if (!asked) return;
    document.querySelector("#find").value = asked;
    const hits = found(asked.toLowerCase());
    const shown = hits.slice(0, MOST);
    const more = hits.length > MOST ? `, of which the first ${MOST} are shown` : "";
    document.querySelector("[data-said]").textContent = hits.length
      ? `${hits.length} unit${hits.length > 1 ? "s" : ""} for “${asked}”${more}.`
      : `No unit for “${asked}”: neither is one called so, nor is that seen in a picture.`;
    document.querySelector("[data-found]").replaceChildren(...shown.map(cell));
  });
})();
