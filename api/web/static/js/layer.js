// The page of a layer: its grid scrolls through all units.
import { enhance } from "./grid.js";

for (const grid of document.querySelectorAll("[data-grid]")) {
  enhance(grid, document.querySelector("[data-grid-status]"));
}
