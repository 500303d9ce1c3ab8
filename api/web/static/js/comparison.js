// Moves the edge between pictures and reconstructions, and through the samples of a training, at once. Without it the
// form does the same by loading the page again. All of it is looked up when it is used: live.js reads it anew.

const drawings = (selector) => [...document.querySelectorAll(`svg.comparison ${selector}`)];

const moveEdge = (form) => {
  const share = form.elements.edge.value / 100;
  for (const window of drawings("clipPath rect")) window.setAttribute("width", share * window.dataset.tile);
  for (const line of drawings("line.edge")) {
    const at = Number(line.dataset.left) + share * line.dataset.tile;
    line.setAttribute("x1", at);
    line.setAttribute("x2", at);
  }
};

let wanted = "";

const showSample = (form) => {
  const chosen = form.querySelectorAll("#times option")[form.elements.sample.value];
  const { image, errors } = chosen.dataset;
  form.elements.seen.value = chosen.label;
  document.getElementById("grid").href = image;
  document.getElementById("errors").textContent = errors;
  wanted = image;
  // Shown once it is there, so that nothing flashes; what was passed over meanwhile is not shown any more.
  const coming = new Image();
  coming.addEventListener("load", () => {
    if (wanted !== image) return;
    for (const shown of drawings("image")) shown.setAttribute("href", image);
  });
  coming.src = image;
};

const formOf = (target) => (target.form?.id === "compare" && drawings("image").length ? target.form : null);

document.addEventListener("input", ({ target }) => {
  const form = formOf(target);
  if (form && target.name === "edge") moveEdge(form);
  if (form && target.name === "sample") showSample(form);
});

document.addEventListener("change", ({ target }) => {
  const form = formOf(target);
  if (!form) return;
  const said = new URLSearchParams({ sample: form.elements.sample.value, edge: form.elements.edge.value });
  history.replaceState(null, "", `?${said}`);
});
