// What is known of the units on a map, asked for as they are wanted, and the list of some of them beside it. A unit is named
// by its place, LAYER:UNIT, with the number of the layer on this map; in addresses, which outlive a map, with the layer's
// name. A classic script, as map.js is.

globalThis.imagoMapUnits = (root, source, heard) => {
  const AT_ONCE = 200;
  const list = root.querySelector("[data-list]");
  const boxes = [...root.querySelectorAll("[data-layer]")];
  const layers = boxes.map((box) => box.parentElement.querySelector("code").textContent);
  const names = layers.map(encodeURIComponent); // in addresses, where commas and colons part them
  const known = new Map(), wanted = new Set();
  let asking = false, listed = [];

  const ask = async () => {
    if (asking) return;
    asking = true;
    try {
      while (wanted.size) {
        const places = [...wanted].slice(0, AT_ONCE);
        places.forEach((place) => wanted.delete(place));
        for (const unit of await source.units(places)) known.set(`${layers.indexOf(unit.layer)}:${unit.unit}`, unit);
        heard();
        fill();
      }
    } finally {
      asking = false;
    }
  };
  // What is wanted now, instead of what was.
  const want = (places) => {
    wanted.clear();
    for (const place of places) if (!known.has(place)) wanted.add(place);
    if (wanted.size) ask().catch(() => {});
  };

  const fill = () => {
    if (list.contains(document.activeElement)) return; // what somebody is at with the keyboard stays
    list.replaceChildren(...listed.map(entry));
  };
  const show = (places) => {
    listed = places;
    fill();
  };
  const entry = (place) => {
    const item = document.createElement("li"), link = document.createElement("a"), unit = known.get(place);
    const [layer, number] = place.split(":"), name = `${layers[layer]}/${number}`;
    item.className = "cell";
    link.title = name;
    link.ariaLabel = unit?.label && unit.probability >= Number(document.body.dataset.clearFrom) ? `${name}, seen as ${unit.label}` : name;
    link.href = boxes[layer].dataset.unit.replace(root.dataset.standsIn, number);
    if (unit) {
      const image = new Image(72, 72);
      image.addEventListener("load", () => image.classList.toggle("pixels", imagoMapUnits.isTiny(image)));
      Object.assign(image, { loading: "lazy", decoding: "async", alt: "", src: unit.picture });
      link.append(image);
    } else {
      const gap = document.createElement("span");
      gap.className = "no-picture";
      link.append(gap);
    }
    const caption = document.createElement("span");
    caption.className = "caption quiet";
    caption.textContent = name;
    link.append(caption);
    item.append(link);
    return item;
  };

  const toAddress = (place) => place.replace(/^\d+/, (layer) => names[layer]);
  const fromAddress = (named) => named.replace(/^[^:]*/, (name) => names.indexOf(name));

  return { known, want, show, names, toAddress, fromAddress };
};

// Shown with its pixels as squares.
globalThis.imagoMapUnits.isTiny = (image) => image.naturalWidth < Number(document.body.dataset.smallBelow);
