// The index of a static site: which units there are, and what their network sees in their pictures. A classic script,
// and so are its parts, which call `add`: pages that are opened from a file may load nothing else.

globalThis.imagoIndex = {
  classes: [],
  layers: [], // [name, folder, rows, are tiny], a row being [unit, name, digest, [[class, thousandths], …]]
  waiting: new Map(),
  add(part) {
    this.layers.push(part);
  },

  // A thumbnail's address, from a page at the root of the site.
  picture: (digest) => `pictures/${digest.slice(0, 2)}/${digest}-128.webp`,

  // Load a part that the page has not named; done once it has called `add`.
  load(number) {
    if (!this.waiting.has(number)) {
      this.waiting.set(number, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `index/${number}.js`;
        script.addEventListener("load", resolve);
        script.addEventListener("error", () => reject(new Error(`${script.src} is not there`)));
        document.head.append(script);
      }));
    }
    return this.waiting.get(number);
  },
};
