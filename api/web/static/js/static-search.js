// Searches the labels of a static site, in its index (static-index.js), of which the page has loaded all parts.

(() => {
  const MOST = 200, SOME = 12;
  const THUMBNAIL = 128;

  // What a unit is called counts more than what its network sees in its picture.
  const found = (wanted) => {
    const hits = [];
    const matches = imagoIndex.classes.map((label) => label.toLowerCase().includes(wanted));
    for (const [layer, folder, rows, tiny] of imagoIndex.layers) {
      for (const [unit, name, digest, seen] of rows) {
        const best = seen.find(([index]) => matches[index]);
        if (name?.toLowerCase().includes(wanted)) hits.push({ layer, folder, unit, digest, tiny, said: name, weight: 2000 });
        else if (best) {
          const [index, weight] = best;
          hits.push({ layer, folder, unit, digest, tiny, said: imagoIndex.classes[index], weight });
        }
      }
    }
    return hits.sort((one, other) => other.weight - one.weight);
  };

  const cell = ({ layer, folder, unit, digest, tiny, said, weight }) => {
    const item = document.createElement("li");
    item.className = "cell";
    const link = document.createElement("a");
    link.href = `${folder}/units/${unit}.html`;
    if (digest) {
      const image = new Image(THUMBNAIL, THUMBNAIL);
      image.loading = "lazy";
      image.alt = `Preferred input of unit ${unit} of ${layer}`;
      image.src = imagoIndex.picture(digest);
      if (tiny) image.className = "pixels";
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

  // Labels that some pictures clearly show.
  const some = () => {
    const surest = new Map();
    for (const [, , rows] of imagoIndex.layers) {
      for (const [, , digest, [seen]] of rows) {
        if (digest && seen) surest.set(seen[0], Math.max(seen[1], surest.get(seen[0]) ?? 0));
      }
    }
    const ranked = [...surest].sort((one, other) => other[1] - one[1]).slice(0, SOME);
    return ranked.map(([index]) => imagoIndex.classes[index].split(",")[0]);
  };

  const told = (hits) => {
    if (!hits) return "No unit: neither is one called so, nor is that seen in a picture.";
    if (hits === 1) return "One unit is called so, or has a picture that its network takes for it.";
    const more = hits > MOST ? `, of which the first ${MOST} are shown` : "";
    return `${hits} units${more}: those that are called so, then those whose pictures their network takes for it.`;
  };

  const chip = (label) => {
    const link = document.createElement("a");
    link.href = `?q=${encodeURIComponent(label)}`;
    link.textContent = label;
    return link;
  };

  addEventListener("DOMContentLoaded", () => {
    const asked = (new URLSearchParams(location.search).get("q") ?? "").trim();
    const said = document.querySelector("[data-said]");
    if (!asked) {
      said.textContent = "Write a label into the field at the top: what a unit is called, or what its network sees in its picture. Some of what there is:";
      document.querySelector("[data-some]").replaceChildren(...some().map(chip));
      return;
    }
    document.querySelector("#find").value = asked;
    document.querySelector("h1").textContent = `“${asked}”`;
    const hits = found(asked.toLowerCase());
    const shown = hits.slice(0, MOST);
    said.textContent = told(hits.length);
    document.querySelector("[data-found]").replaceChildren(...shown.map(cell));
  });
})();
