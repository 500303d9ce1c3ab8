// A grid of very many units of which only those near the window are in the document. Where a cell lies is
// arithmetic on its place; its rows are used again as one scrolls on. What cells show is asked for by ranges, once
// scrolling pauses. The server's own first cells are what it begins with, so that nothing jumps.

import { Cells, UNKNOWN } from "./grid-cells.js";
import { RowView } from "./grid-rows.js";

const TALLEST = 8_000_000; // pixels; browsers end somewhat above: beyond it, scrolling is scaled
const SETTLED = 90; // ms without scrolling before pictures are asked for
const PRINTED = 2000; // units, at most
const KEPT = "imagoGrid"; // in the state of the history entry

export function enhance(element, status) {
  const grid = new Grid(element, status);
  grid.begin();
  return grid;
}

class Grid {
  #element;
  #status;
  #cells;
  #total;
  #list;
  #probe;
  #rows = new Map(); // by number, those in the document
  #spare = [];
  #columns = 1;
  #pitch = 1; // pixels from one row to the next
  #gap = 0;
  #active = 0; // the place of the cell that Tab reaches
  #timer = 0;
  #frame = 0;
  #lastTop = 0;
  #settled = true;
  #toOpen = null; // the place of a cell that was opened before it was known which unit stands there

  constructor(element, status) {
    const given = JSON.parse(element.dataset.grid);
    this.#element = element;
    this.#status = status;
    this.#total = given.total;
    this.#active = given.start;
    const list = element.querySelector("ul.grid");
    this.#cells = new Cells(given, element.dataset, () => this.#refresh());
    this.#cells.adopt(given.start, list.children);
    this.#probe = list;
  }

  begin() {
    const kept = history.state?.[KEPT];
    const start = this.#active;
    this.#build();
    history.scrollRestoration = "manual";
    this.#measure();
    if (kept) {
      this.#active = Math.min(kept.active, this.#total - 1);
      this.#scrollToRow(Math.floor(kept.first / this.#columns), kept.offset);
    } else if (start) {
      this.#scrollToRow(Math.floor(start / this.#columns), 0);
    }
    this.#draw();
    if (kept?.focused) this.#focus();
    addEventListener("scroll", () => this.#scrolled(), { passive: true });
    addEventListener("pagehide", () => this.#remember());
    new ResizeObserver(() => this.#resized()).observe(this.#element);
    addEventListener("resize", () => this.#drawSoon()); // the window may have grown in height alone
    addEventListener("beforeprint", () => this.#drawForPaper());
    addEventListener("afterprint", () => this.#drawSoon());
  }

  #build() {
    const list = document.createElement("div");
    list.className = `grid-window ${this.#probe.className}`;
    list.setAttribute("role", "grid");
    list.setAttribute("aria-label", this.#element.dataset.label);
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("focusin", (event) => this.#focused(event));
    list.addEventListener("click", (event) => this.#opened(event));
    this.#list = list;
    const range = this.#element.querySelector(".range");
    if (this.#total > this.#probe.children.length) range.textContent = this.#element.dataset.all;
    // One cell stays, unseen, to be measured: how many fit and how tall they are is the stylesheet's to say.
    this.#probe.replaceChildren(this.#probe.firstElementChild);
    this.#probe.classList.add("grid-probe");
    this.#probe.setAttribute("aria-hidden", "true");
    this.#probe.inert = true;
    this.#element.querySelector(".pager")?.remove();
    this.#element.append(list);
  }

  #measure() {
    const style = getComputedStyle(this.#probe);
    this.#columns = Math.max(1, style.gridTemplateColumns.split(" ").length);
    this.#gap = parseFloat(style.rowGap);
    this.#pitch = this.#probe.firstElementChild.getBoundingClientRect().height + this.#gap;
    this.#list.style.setProperty("--columns", this.#columns);
    this.#list.style.height = `${this.#height}px`;
    this.#list.setAttribute("aria-rowcount", this.#rowCount);
    this.#list.setAttribute("aria-colcount", this.#columns);
  }

  get #rowCount() {
    return Math.ceil(this.#total / this.#columns);
  }

  get #wanted() {
    return this.#rowCount * this.#pitch - this.#gap; // the height that all rows would have
  }

  get #height() {
    return Math.max(0, Math.min(this.#wanted, TALLEST));
  }

  get #origin() {
    return this.#list.getBoundingClientRect().top + scrollY; // where the grid begins in the document
  }

  // How far one has scrolled into the rows, of the height that they would have, and where that lies in the document.
  #position() {
    const inside = scrollY - this.#origin;
    const scale = this.#scale;
    return { top: Math.max(0, inside) * scale, inside: Math.max(0, inside) };
  }

  get #scale() {
    const spare = this.#height - innerHeight;
    return this.#wanted > this.#height && spare > 0 ? (this.#wanted - innerHeight) / spare : 1;
  }

  #scrollToRow(row, offset) {
    const inside = (row * this.#pitch + offset) / this.#scale;
    scrollTo({ top: Math.max(0, Math.round(this.#origin + inside)), behavior: "instant" });
  }

  #drawSoon() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  // Paper has no window: the first units are all there, as far as it is known what they show.
  #drawForPaper() {
    const rows = Math.ceil(Math.min(this.#total, PRINTED) / this.#columns);
    for (let number = 0; number < rows; number++) this.#place(number, 0, true);
  }

  #scrolled() {
    this.#drawSoon();
    this.#settled = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#settled = true;
      this.#draw();
      this.#remember();
    }, SETTLED);
  }

  #draw() {
    this.#frame = 0;
    const origin = this.#origin;
    const inside = Math.max(0, scrollY - origin);
    const top = inside * this.#scale;
    const shift = inside - top; // rows are moved by it where scrolling is scaled
    const speed = Math.abs(scrollY - this.#lastTop);
    this.#lastTop = scrollY;
    const above = Math.max(0, origin - scrollY);
    const spare = Math.ceil(innerHeight / 2 / this.#pitch);
    const first = Math.max(0, Math.floor(top / this.#pitch) - spare);
    const last = Math.min(this.#rowCount - 1, Math.ceil((top + innerHeight - above) / this.#pitch) + spare);
    const pinned = Math.floor(this.#active / this.#columns);
    for (const [number, row] of this.#rows) {
      if ((number < first || number > last) && number !== pinned) {
        this.#rows.delete(number);
        this.#spare.push(row);
      }
    }
    const withPictures = this.#settled || speed < innerHeight / 2;
    for (let number = first; number <= last; number++) this.#place(number, shift, withPictures);
    if (pinned < first || pinned > last) this.#place(pinned, shift, withPictures);
    for (const row of this.#spare) row.hide();
    if (this.#settled) this.#cells.want(first * this.#columns, Math.min(this.#total, (last + 1) * this.#columns));
    this.#say(top);
  }

  #place(number, shift, withPictures) {
    let row = this.#rows.get(number);
    if (!row) {
      row = this.#spare.pop() ?? new RowView(this.#list);
      this.#rows.set(number, row);
    }
    const from = number * this.#columns;
    const cells = Math.min(this.#columns, this.#total - from);
    row.show(number, from, cells, number * this.#pitch + shift, this.#cells, this.#active, withPictures);
  }

  // What was asked for has come.
  #refresh() {
    if (this.#total !== this.#cells.total) this.#recount();
    this.#openWhatWaits();
    this.#drawSoon();
  }

  // There are fewer units, or more, than the page has said: pictures have ended since.
  #recount() {
    const isAt = this.#list.contains(document.activeElement);
    this.#total = this.#cells.total;
    this.#active = Math.max(0, Math.min(this.#active, this.#total - 1));
    if (this.#toOpen >= this.#total) this.#toOpen = null;
    const range = this.#element.querySelector(".range");
    range.textContent = `${this.#total.toLocaleString("fr")} unit${this.#total === 1 ? "" : "s"}`;
    this.#measure();
    if (!isAt) return;
    this.#draw();
    this.#focus();
  }

  // A click, or Enter, on a cell of which nothing is known yet: it opens as soon as its unit is.
  #opened(event) {
    const link = event.target.closest("a");
    if (link?.getAttribute("href") !== UNKNOWN) return;
    event.preventDefault();
    this.#toOpen = Number(link.closest("[role=gridcell]").dataset.place);
  }

  #openWhatWaits() {
    if (this.#toOpen === null) return;
    const { href } = this.#cells.at(this.#toOpen);
    if (href === UNKNOWN) return;
    const isStillMeant = this.#toOpen === this.#active; // nobody has gone on to another cell
    this.#toOpen = null;
    if (isStillMeant) location.assign(href);
  }

  #resized() {
    const before = { columns: this.#columns, pitch: this.#pitch };
    const first = Math.floor(this.#position().top / this.#pitch) * this.#columns;
    const inside = scrollY > this.#origin;
    this.#measure();
    if (before.columns === this.#columns && before.pitch === this.#pitch) return;
    if (inside) this.#scrollToRow(Math.floor(first / this.#columns), 0);
    this.#draw();
  }

  #remember() {
    const top = this.#position().top;
    const row = Math.floor(top / this.#pitch);
    const state = {
      first: row * this.#columns,
      offset: scrollY > this.#origin ? top - row * this.#pitch : scrollY - this.#origin,
      active: this.#active,
      focused: this.#list.contains(document.activeElement),
    };
    history.replaceState({ ...history.state, [KEPT]: state }, "");
  }

  #say(top) {
    if (!this.#status || !this.#settled) return;
    const first = Math.floor(top / this.#pitch) * this.#columns + 1;
    this.#status.textContent = `${this.#total} units, from number ${first} on`;
  }

  // ---- the keyboard ----

  #focused(event) {
    const cell = event.target.closest("[role=gridcell]");
    if (!cell) return;
    const place = Number(cell.dataset.place);
    if (place === this.#active) return;
    this.#active = place;
    for (const row of this.#rows.values()) row.rove(place);
  }

  #key(event) {
    if (event.altKey || event.metaKey) return;
    const next = this.#reached(event.key, event.ctrlKey);
    if (next === null) return;
    event.preventDefault();
    this.#active = Math.max(0, Math.min(this.#total - 1, next));
    this.#reveal();
    this.#draw();
    this.#focus();
  }

  #reached(key, control) {
    const columns = this.#columns;
    const begins = this.#active - (this.#active % columns);
    const page = Math.max(1, Math.floor(innerHeight / this.#pitch)) * columns;
    switch (key) {
      case "ArrowRight": return this.#active + 1;
      case "ArrowLeft": return this.#active - 1;
      case "ArrowDown": return this.#active + columns < this.#total ? this.#active + columns : this.#lastBelow();
      case "ArrowUp": return this.#active >= columns ? this.#active - columns : this.#active;
      case "PageDown": return this.#active + page;
      case "PageUp": return this.#active - page;
      case "Home": return control ? 0 : begins;
      case "End": return control ? this.#total - 1 : begins + columns - 1;
      default: return null;
    }
  }

  #lastBelow() {
    const isLast = Math.floor(this.#active / this.#columns) === this.#rowCount - 1;
    return isLast ? this.#active : this.#total - 1;
  }

  // Scroll as little as it takes to see the row of the active cell.
  #reveal() {
    const row = Math.floor(this.#active / this.#columns);
    const { top } = this.#position();
    const starts = row * this.#pitch;
    const above = Math.max(0, this.#origin - scrollY);
    if (row === 0) scrollTo({ top: 0, behavior: "instant" }); // with all that is above it
    else if (starts < top) this.#scrollToRow(row, -this.#gap);
    else if (starts + this.#pitch > top + innerHeight - above) this.#scrollToRow(row, this.#pitch - innerHeight);
    else return;
    this.#scrolled();
  }

  #focus() {
    const row = this.#rows.get(Math.floor(this.#active / this.#columns));
    row?.focus(this.#active);
  }
}
