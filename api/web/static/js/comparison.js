// Moves the edge between pictures and reconstructions, and through the samples of a training, at once. Without it the
// form does the same by loading the page again.

const form = document.getElementById("compare");
const drawing = document.querySelector("svg.comparison");
const times = [...document.querySelectorAll("#times option")];

const moveEdge = () => {
  const share = form.elements.edge.value / 100;
  for (const window of drawing.querySelectorAll("clipPath rect")) window.setAttribute("width", share * window.dataset.tile);
  for (const line of drawing.querySelectorAll("line.edge")) {
    const at = Number(line.dataset.left) + share * line.dataset.tile;
    line.setAttribute("x1", at);
    line.setAttribute("x2", at);
  }
};

let wanted = "";

const showSample = () => {
  const { image, errors } = times[form.elements.sample.value].dataset;
  form.elements.seen.value = times[form.elements.sample.value].label;
  document.getElementById("grid").href = image;
  document.getElementById("errors").textContent = errors;
  wanted = image;
  // Shown once it is there, so that nothing flashes; what was passed over meanwhile is not shown any more.
  const coming = new Image();
  coming.addEventListener("load", () => {
    if (wanted !== image) return;
    for (const shown of drawing.querySelectorAll("image")) shown.setAttribute("href", image);
  });
  coming.src = image;
};

const remember = () => {
  const said = new URLSearchParams({ sample: form.elements.sample.value, edge: form.elements.edge.value });
  history.replaceState(null, "", `?${said}`);
};

if (form && drawing) {
  form.elements.edge.addEventListener("input", moveEdge);
  form.elements.sample.addEventListener("input", showSample);
  form.addEventListener("change", remember);
}
