// Searches a static site by labels, as somebody types: which labels there are is loaded with the page, and the units of a
// label once it is asked for (static-index.js), so that it takes the same time however many units there are.

(() => {
  const MOST = 200, LABELS = 24, OFFERED = 12, PAUSE_MS = 150;
  const find = (name) => document.querySelector(`[data-${name}]`);
  let latest = 0, timer = 0;

  const chip = (text, href) => {
    const link = document.createElement("a");
    Object.assign(link, { href, textContent: text });
    return link;
  };
  // Each once: several classes may be called the same.
  const labelled = (numbers) => [...new Set(numbers.map((number) => imagoIndex.classes[number].split(",")[0]))]
    .map((label) => chip(label, `?q=${encodeURIComponent(label)}`));
  const offer = (name, chips) => {
    find(name).hidden = !chips.length;
    find(name).querySelector("nav").replaceChildren(...chips);
  };

  // The units of some labels, each once, by what it says most clearly.
  const unitsOf = async (numbers) => {
    const units = new Map();
    const said = await Promise.all(numbers.map((number) => imagoIndex.saying(number)));
    said.forEach((hits, at) => {
      for (const [layer, unit, digest, weight] of hits) {
        const name = `${layer}/${unit}`;
        if (weight > (units.get(name)?.weight ?? -1)) units.set(name, { layer, unit, digest, weight, number: numbers[at] });
      }
    });
    return [...units.values()].sort((one, other) =>
      other.weight - one.weight || one.layer - other.layer || one.unit - other.unit);
  };

  const cell = ({ layer, unit, digest, weight, number }, place) => {
    const [name, folder, , , tiny] = imagoIndex.layers[layer], label = imagoIndex.classes[number].split(",")[0];
    const isCalledSo = weight > 1000;
    return imagoIndex.cell({
      href: imagoIndex.unit(folder, unit),
      picture: digest && imagoIndex.picture(digest),
      alt: `Preferred input of unit ${unit} of ${name}`,
      tiny,
      why: "no picture",
      title: isCalledSo ? label : `${unit} · ${label}`,
      figure: isCalledSo ? "" : `${(weight / 10).toFixed(0)}\u00a0%`,
      quiet: isCalledSo ? `${name}/${unit}` : name,
      isEager: place < OFFERED,
    });
  };

  // Layers that are called so, and the unit that LAYER/UNIT names.
  const named = async (text) => {
    const [, before, last] = /^(.+)\/(\d{1,9})$/.exec(text) ?? [];
    const found = [];
    for (const [layer, [name, folder]] of imagoIndex.layers.entries()) {
      if (name === before) {
        const wanted = Number(last), part = imagoIndex.partOf(layer, wanted); // 007 is 7
        const rows = part === null ? [] : await imagoIndex.part(part);
        if (rows.some(({ unit }) => unit === wanted)) found.push(chip(text, imagoIndex.unit(folder, wanted)));
      }
      if (name.toLowerCase().includes(text.toLowerCase())) found.push(chip(name, `${imagoIndex.root}${folder}/index.html`));
    }
    return found.slice(0, LABELS);
  };

  const told = (count, shown, isAll) => {
    if (!count) return "No unit: no label here is called so, and none has a word that begins so.";
    if (count === 1 && isAll) return "One unit is called so, or has a picture that its network takes for it.";
    const most = count > shown ? `, of which the first ${shown} are shown` : "";
    const how = "those that are called so, then those whose pictures their network takes for it";
    return `${isAll ? "" : "At least "}${count} units${most}: ${how}.`;
  };

  const search = async (text) => {
    const turn = ++latest;
    const meant = imagoIndex.meant(text), saying = meant.filter((number) => imagoIndex.counts[number]);
    const looked = saying.slice(0, LABELS);
    const [hits, places] = await Promise.all([unitsOf(looked), named(text)]);
    if (turn !== latest) return; // somebody typed on
    document.querySelector("h1").textContent = `“${text}”`;
    const counted = looked.length === 1 ? imagoIndex.counts[looked[0]] : hits.length;
    const isAll = looked.length === saying.length && (looked.length === 1 || looked.every((number) => imagoIndex.counts[number] <= MOST));
    const shown = hits.slice(0, MOST);
    if (hits.length || !(places.length || meant.length)) find("said").textContent = told(counted, shown.length, isAll);
    else if (places.length) find("said").textContent = "No label is called so, but a place is.";
    else find("said").textContent = `No unit: “${imagoIndex.classes[meant[0]]}” is a label of the network, but no picture here is taken for it.`;
    find("found").replaceChildren(...shown.map(cell));
    offer("named", places);
    offer("also", saying.length > 1 ? labelled(saying.slice(0, LABELS)) : []);
    offer("near", hits.length ? [] : labelled(imagoIndex.near(text, OFFERED)));
    offer("some", hits.length ? [] : labelled(imagoIndex.some.slice(0, OFFERED)));
    find("layers").hidden = hits.length > 0;
  };

  const begin = () => {
    latest++;
    document.querySelector("h1").textContent = "Search";
    find("said").textContent = "Write a label into the field at the top: what a unit is called, or what its network sees in its picture. LAYER/UNIT leads to a unit.";
    find("found").replaceChildren();
    for (const name of ["named", "also", "near"]) offer(name, []);
    offer("some", labelled(imagoIndex.some));
    find("layers").hidden = true;
  };

  // What is searched for is in the address, for who comes back to it.
  const remember = (asked) => {
    try {
      history.replaceState(history.state, "", asked ? `?${new URLSearchParams({ q: asked })}` : location.pathname);
    } catch {
      // Some browsers allow it to no page that is opened from a file.
    }
  };

  const look = (text) => {
    const asked = text.trim();
    remember(asked);
    if (!asked) return begin();
    return search(asked).catch((error) => (find("said").textContent = `The index could not be read: ${error.message}.`));
  };

  addEventListener("DOMContentLoaded", () => {
    const field = document.querySelector("#find");
    field.value = new URLSearchParams(location.search).get("q") ?? "";
    look(field.value);
    field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => look(field.value), PAUSE_MS);
    });
  });
})();
