// The page of a layer: its grid scrolls through all units, and what is chosen is followed at once.
import { enhance } from "./grid.js";

for (const form of document.querySelectorAll("form[data-follow]")) {
  form.addEventListener("change", () => form.requestSubmit());
}
for (const grid of document.querySelectorAll("[data-grid]")) {
  enhance(grid, document.querySelector("[data-grid-status]"));
}
