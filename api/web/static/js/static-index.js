// The index of a static site: which units there are, and what their network sees in their pictures. A classic script,
// and so are its parts, which call `add` and `say`: pages that are opened from a file may load nothing else. A page loads
// of it what it needs.

globalThis.imagoIndex = (() => {
  const root = new URL("../../", document.currentScript.src).href; // of the site
  const coming = new Map(), parts = new Map(), said = new Map();
  const plain = (text) => text.toLowerCase().split(/\s+/).filter(Boolean).join(" ");

  // Done once the script has run; asked for once only.
  const load = (path) => {
    if (!coming.has(path)) {
      coming.set(path, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = root + path;
        script.addEventListener("load", resolve);
        script.addEventListener("error", () => {
          coming.delete(path);
          reject(new Error(`${path} is not there`));
        });
        document.head.append(script);
      }));
    }
    return coming.get(path);
  };
  const rowOf = ([unit, name, digest, seen, activation, percentile, strength, share, state, dead]) =>
    ({ unit, name, digest, seen, activation, percentile, strength, share, state, dead });

  // How many letters differ.
  const apart = (one, other) => {
    let before = Array.from({ length: other.length + 1 }, (_, at) => at);
    for (let row = 1; row <= one.length; row++) {
      const now = [row];
      for (let at = 1; at <= other.length; at++) {
        now[at] = Math.min(before[at] + 1, now[at - 1] + 1, before[at - 1] + (one[row - 1] === other[at - 1] ? 0 : 1));
      }
      before = now;
    }
    return before[other.length];
  };

  return {
    root,
    load,
    classes: [],
    counts: [], // by class, how many units say it
    some: [], // classes that some pictures clearly show
    layers: [], // [name, folder, number of the first part, first unit of each part, are tiny]
    add([number, rows]) { parts.set(number, rows.map(rowOf)); },
    say([number, rows]) { said.set(number, rows); },

    picture: (digest) => `${root}pictures/${digest.slice(0, 2)}/${digest}-128.webp`,
    unit: (folder, unit) => `${root}${folder}/units/${unit}.html`,

    // The units that say a class: [number of the layer, unit, digest, weight].
    async saying(number) {
      await load(`index/labels/${number}.js`);
      return said.get(number);
    },

    // What is known of the units of some parts.
    async part(number) {
      await load(`index/${number}.js`);
      return parts.get(number);
    },

    // The part that a unit of a layer is in, none where the site has no such unit.
    partOf(layer, unit) {
      const [, , first, starts] = this.layers[layer];
      const place = starts.findLastIndex((start) => start <= unit);
      return place < 0 ? null : first + place;
    },

    // Classes that a text may mean: those that are called so, begin so, have a word that does, hold it.
    meant(text) {
      const wanted = plain(text), found = [[], [], [], []];
      if (!wanted) return [];
      this.classes.forEach((name, number) => {
        const label = plain(name), place = ` ${label.replaceAll(",", " ")}`.indexOf(` ${wanted}`);
        if (label === wanted || label.split(/\s*,\s*/).includes(wanted)) found[0].push(number);
        else if (place === 0) found[1].push(number);
        else if (place > 0) found[2].push(number);
        else if (label.includes(wanted)) found[3].push(number);
      });
      return found.flat();
    },

    // Classes that some unit says and whose name is spelled much like a text, the likest first.
    near(text, most) {
      const wanted = plain(text).slice(0, 40), found = [];
      this.classes.forEach((name, number) => {
        if (!this.counts[number]) return;
        const words = plain(name).split(/\s*,\s*|\s+/).filter((word) => Math.abs(word.length - wanted.length) < 4);
        const best = Math.min(...words.map((word) => apart(wanted, word)));
        if (best <= Math.max(1, wanted.length / 3)) found.push([best, number]);
      });
      return found.sort((one, other) => one[0] - other[0]).slice(0, most).map(([, number]) => number);
    },

    // A cell of a grid, as the pages have them.
    cell({ href, picture, alt, tiny, why, title, figure, quiet, isEager }) {
      const part = (name, className, text = "") => Object.assign(document.createElement(name), { className, textContent: text });
      const item = part("li", "cell"), link = part("a", ""), caption = part("span", "caption");
      link.href = href;
      if (picture) {
        const image = new Image(128, 128);
        Object.assign(image, { loading: isEager ? "eager" : "lazy", alt, className: tiny ? "pixels" : "", src: picture });
        link.append(image);
      } else link.append(part("span", "no-picture", why));
      caption.append(part("b", "", title), part("span", "figure", figure ?? ""));
      link.append(caption, part("span", "caption quiet", quiet));
      item.append(link);
      return item;
    },
  };
})();
