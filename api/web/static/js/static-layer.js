// The grid of a layer in a static site in another order, of some of its units, or in another size: as the address says,
// whose parameters are those of the server's page. Without any the page stays as it was written, in the order of units.
// What is known of the units is in the parts of the index (static-index.js) that the layer has.

(() => {
  const CELLS = 120, EAGER = 24, OFFERED = 6;
  const asked = new URLSearchParams(location.search);
  if (asked.get("order") === "index") asked.delete("order");
  for (const name of ["order", "state", "label", "density", "from"]) if (!asked.get(name)) asked.delete(name);
  if (!["order", "state", "label", "density"].some((name) => asked.has(name))) return;
  document.documentElement.classList.add("is-chosen", "is-coming"); // before anything is drawn, so that nothing jumps

  const address = (changed) => {
    const query = new URLSearchParams(asked);
    for (const [name, value] of Object.entries(changed)) {
      if (value === null || value === undefined) query.delete(name);
      else query.set(name, value);
    }
    return `${query}` ? `index.html?${query}` : "index.html";
  };
  const figure = (number) => number.toLocaleString("fr");

  // What is not known comes last; of equal ones the lower number comes first.
  const rising = (one, other) => (one === null) - (other === null) || one - other;
  const falling = (one, other) => (one === null) - (other === null) || other - one;
  // Of its names. A class without one has its number for a label.
  const first = (label) => label.split(",")[0].replace(/^(?=\d+$)/, "class ");
  const clear = ([[number, thousandths] = []]) => (thousandths >= 1000 * document.body.dataset.clearFrom ? number : undefined);
  const sure = ({ seen }) => seen[0]?.[1] ?? null;
  const sorted = (rows, by) => {
    // Of several classes that are called the same (ImageNet has two cranes) none comes before the other.
    const ranks = new Map([...new Set(imagoIndex.classes)]
      .map((name) => [name.toLowerCase(), name])
      .sort(([one], [other]) => (one > other) - (one < other))
      .map(([, name], rank) => [name, rank]));
    const rank = ({ name, seen }) => ranks.get(name ?? imagoIndex.classes[seen[0]?.[0]]) ?? null;
    const orders = {
      activation: (one, other) => falling(one.activation, other.activation),
      percentile: (one, other) => falling(one.percentile, other.percentile),
      label: (one, other) => rising(rank(one), rank(other)) || falling(sure(one), sure(other)),
    };
    return Object.hasOwn(orders, by) ? [...rows].sort(orders[by]) : rows;
  };

  const chosen = (rows) => {
    const state = asked.get("state"), label = asked.get("label");
    const classes = new Set(label ? imagoIndex.meant(label) : []);
    return rows.filter((row) =>
      (!state || (state === "dead" ? row.dead === 1 : row.state === state))
      && (!label || (row.name !== null && classes.has(row.unit)) || row.seen.some(([number]) => classes.has(number))));
  };

  const cellsOf = (rows, [name, folder, , , tiny], words) => rows.map((row, place) => imagoIndex.cell({
    href: imagoIndex.unit(folder, row.unit),
    picture: row.digest && imagoIndex.picture(row.digest),
    alt: `Picture of unit ${row.unit}${row.name ? ` (${row.name})` : ""}`,
    tiny,
    why: words[row.state ?? "none"] ?? row.state,
    title: row.name ? first(row.name) : String(row.unit),
    figure: asked.get("order") === "percentile" ? row.share : row.strength,
    quiet: row.name ? `unit ${row.unit}` : first(imagoIndex.classes[clear(row.seen)] ?? "—"),
    isEager: place < EAGER,
  }));

  // Chips and fields say what is shown, and chips keep what else was chosen.
  const markChoices = () => {
    for (const name of ["order", "density"]) {
      for (const link of document.querySelectorAll(`[data-chooses="${name}"] a`)) {
        const own = new URL(link.href).searchParams.get(name);
        link.href = address({ [name]: own, from: null });
        if (own === asked.get(name)) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }
    const form = document.querySelector("form[data-choose]");
    if (!form) return;
    for (const name of ["label", "state"]) form.elements.namedItem(name).value = asked.get(name) ?? "";
    for (const name of ["order", "density"]) {
      let field = form.elements.namedItem(name);
      if (!field) form.append(field = Object.assign(document.createElement("input"), { type: "hidden", name }));
      field.value = asked.get(name) ?? "";
    }
    const isFiltered = asked.has("label") || asked.has("state");
    form.closest("details").open ||= isFiltered;
    const all = form.querySelector("[data-all]");
    all.hidden = !isFiltered;
    all.href = address({ label: null, state: null, from: null });
  };

  const link = (textContent, changed, more) => Object.assign(document.createElement("a"), { textContent, href: address(changed), ...more });
  const turnPages = (grid, from, total) => {
    const nav = grid.querySelector(".pager") ?? Object.assign(document.createElement("nav"), { className: "pager", ariaLabel: "Pages" });
    const button = (text, rel, start) => link(text, { from: start || null }, { className: "button", rel });
    nav.replaceChildren(
      ...(from > 0 ? [button("Previous", "prev", Math.max(0, from - CELLS))] : []),
      ...(from + CELLS < total ? [button("Next", "next", from + CELLS)] : []),
    );
    if (nav.children.length) grid.append(nav);
    else nav.remove();
  };

  const nothing = () => {
    const near = imagoIndex.near(asked.get("label") ?? "", OFFERED).map((number) => imagoIndex.classes[number].split(",")[0]);
    return [
      `No unit of this layer is ${asked.get("state") ?? "so"}${asked.has("label") ? ` and seen as “${asked.get("label")}”` : ""}. `,
      link("Show all units", { label: null, state: null, from: null }),
      ...(asked.has("label") && near.length ? [". Labels near it: ", ...near.flatMap((label, at) => [at ? ", " : "", link(label, { label, from: null })])] : []),
    ];
  };

  const show = async () => {
    const grid = document.querySelector("[data-units-of]");
    const { layer, words, legends } = JSON.parse(grid.dataset.unitsOf);
    grid.querySelector(".legend").textContent = legends[asked.get("order")] ?? legends.activation;
    markChoices();
    await Promise.all([imagoIndex.load("index/layers.js"), imagoIndex.load("index/classes.js")]);
    const known = imagoIndex.layers[layer], [, , first, starts] = known;
    const parts = await Promise.all(starts.map((_, at) => imagoIndex.part(first + at)));
    const all = parts.flat(), rows = sorted(chosen(all), asked.get("order"));
    const from = Math.max(0, Math.min(Number(asked.get("from")) || 0, rows.length - 1));
    const some = rows.slice(from, from + CELLS), range = grid.querySelector(".range"), list = grid.querySelector("ul.grid");
    if (!rows.length) range.replaceChildren(...nothing());
    else if (rows.length > some.length) range.textContent = `Units ${figure(from + 1)} to ${figure(from + some.length)} of ${figure(rows.length)}`;
    else range.textContent = rows.length === all.length ? "" : `${figure(rows.length)} unit${rows.length === 1 ? "" : "s"}`; // all are counted above
    list.className = ["grid", asked.get("density")].filter(Boolean).join(" ");
    list.replaceChildren(...cellsOf(some, known, words));
    turnPages(grid, from, rows.length);
  };

  addEventListener("DOMContentLoaded", () => show()
    .catch((error) => (document.querySelector(".range").textContent = `The index could not be read: ${error.message}.`))
    .finally(() => document.documentElement.classList.remove("is-coming")));
})();
