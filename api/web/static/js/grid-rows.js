// A row of the grid: made once, then used for one row after the other.

export class RowView {
  #element = document.createElement("div");
  #cells = [];
  #list;
  #number = -1;

  constructor(list) {
    this.#list = list;
    this.#element.className = "grid-row";
    this.#element.setAttribute("role", "row");
  }

  show(number, from, count, top, cells, active, withPictures) {
    if (!this.#element.isConnected) this.#list.append(this.#element);
    while (this.#cells.length < count) {
      const cell = new CellView();
      this.#cells.push(cell);
      this.#element.append(cell.element);
    }
    while (this.#cells.length > count) this.#cells.pop().element.remove();
    if (number !== this.#number) {
      this.#number = number;
      this.#element.setAttribute("aria-rowindex", number + 1);
    }
    this.#element.style.transform = `translateY(${top}px)`;
    for (let column = 0; column < count; column++) {
      this.#cells[column].show(from + column, column, cells, active, withPictures);
    }
  }

  hide() {
    this.#number = -1;
    for (const cell of this.#cells) cell.forget();
    this.#element.remove();
  }

  rove(active) {
    for (const cell of this.#cells) cell.rove(active);
  }

  focus(place) {
    this.#cells.find((cell) => cell.place === place)?.focus();
  }
}

const part = (name, className) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  return made;
};

class CellView {
  element = part("div", "cell");
  place = -1;
  #link = part("a");
  #image = part("img");
  #why = part("span", "no-picture");
  #title = part("b");
  #figure = part("span", "figure");
  #quiet = part("span", "caption quiet");
  #view = null; // what it shows
  #address = ""; // of the picture that is shown or on its way

  constructor() {
    this.element.setAttribute("role", "gridcell");
    const caption = part("span", "caption");
    caption.append(this.#title, this.#figure);
    this.#image.decoding = "async";
    this.#image.width = this.#image.height = 128;
    this.#image.hidden = true;
    this.#image.addEventListener("error", () => this.#broken());
    this.#link.append(this.#image, this.#why, caption, this.#quiet);
    this.element.append(this.#link);
  }

  show(place, column, cells, active, withPictures) {
    if (place !== this.place) {
      this.place = place;
      this.element.dataset.place = place;
      this.element.setAttribute("aria-colindex", column + 1);
    }
    this.rove(active);
    const view = cells.at(place);
    if (view !== this.#view) {
      this.#view = view;
      this.#link.href = view.href;
      this.#title.textContent = view.title;
      this.#figure.textContent = view.figure;
      this.#quiet.textContent = view.quiet;
      this.#clear();
      this.#why.textContent = view.picture ? "" : view.why;
      this.#why.classList.toggle("coming", Boolean(view.picture) || view.isComing);
    }
    if (withPictures && view.picture && this.#address !== view.picture) {
      this.#address = view.picture;
      this.#image.alt = view.alt;
      this.#image.classList.toggle("pixels", view.small);
      this.#image.src = view.picture;
      this.#image.hidden = false;
      this.#why.hidden = true;
    }
  }

  rove(active) {
    const index = this.place === active ? "0" : "-1";
    if (this.#link.getAttribute("tabindex") !== index) this.#link.setAttribute("tabindex", index);
  }

  focus() {
    this.#link.focus({ preventScroll: true });
  }

  forget() {
    this.place = -1;
    this.#view = null;
    this.#clear();
  }

  #clear() {
    if (this.#address) this.#image.removeAttribute("src"); // also ends what is still being fetched
    this.#address = "";
    this.#image.hidden = true;
    this.#why.hidden = false;
  }

  #broken() {
    if (!this.#address) return;
    this.#image.hidden = true;
    this.#why.hidden = false;
    this.#why.classList.remove("coming");
    this.#why.textContent = "the picture cannot be read";
  }
}
