// What the cells of a grid show, by their places: asked for in blocks, the newest of which are kept.

import { figure } from "./figures.js";

const BLOCK = 100; // cells
const BLOCKS_KEPT = 60;
const AT_ONCE = 3; // requests
const AGAIN = 5000; // ms after a request that failed
export const UNKNOWN = "#"; // the address of a cell as long as the unit that stands there is not known

export class Cells {
  total; // as the page says, and then as the order does
  #given;
  #picture;
  #unit;
  #changed;
  #order = null; // the numbers of the units, null while they are not there or need not be
  #asking = null; // the promise of the order: whoever needs it waits for the same one
  #unknown = new Map(); // what is shown of a place of which nothing is known yet
  #first = new Map(); // what the server's own cells show, by place
  #blocks = new Map(); // by number: views by place, in the order in which they were last wanted
  #asked = new Map(); // by number: what ends the request
  #failed = new Map(); // by number: when
  #again = 0; // the timer of the next try after a failure

  constructor(given, addresses, changed) {
    this.#given = given;
    this.total = given.total;
    this.#picture = addresses.picture;
    this.#unit = addresses.unit;
    this.#changed = changed;
  }

  // The cells that the page came with.
  adopt(start, items) {
    [...items].forEach((item, number) => this.#first.set(start + number, read(item)));
  }

  at(place) {
    const block = this.#blocks.get(Math.floor(place / BLOCK));
    return block?.get(place) ?? this.#first.get(place) ?? this.#nothingOf(place);
  }

  // What will be seen: the places from `first` to before `end`.
  want(first, end) {
    const from = Math.floor(first / BLOCK);
    const to = Math.floor(Math.max(first, end - 1) / BLOCK);
    for (const [number, controller] of this.#asked) {
      if (number < from || number > to) controller.abort();
    }
    for (let number = from; number <= to; number++) {
      const held = this.#blocks.get(number);
      if (held) {
        this.#blocks.delete(number); // to the end: wanted last
        this.#blocks.set(number, held);
      } else if (!this.#isThere(number, end) && this.#asked.size < AT_ONCE) {
        this.#ask(number);
      }
    }
  }

  #isThere(number, end) {
    const last = Math.min((number + 1) * BLOCK, this.total, end);
    for (let place = number * BLOCK; place < last; place++) if (!this.#first.has(place)) return false;
    return true;
  }

  async #ask(number) {
    if (this.#asked.has(number) || Date.now() - (this.#failed.get(number) ?? -AGAIN) < AGAIN) return;
    const controller = new AbortController();
    this.#asked.set(number, controller);
    try {
      const units = await this.#unitsOf(number);
      controller.signal.throwIfAborted();
      if (!units.length) return; // there are fewer than the page has said
      const address = `${this.#given.cells}${this.#given.cells.includes("?") ? "&" : "?"}units=${units.join(",")}`;
      const { data } = await get(address, controller.signal).then((answer) => answer.json());
      const byUnit = new Map(data.map((cell) => [cell.unit, cell]));
      this.#keep(number, new Map(units.map((unit, at) => [number * BLOCK + at, this.#view(byUnit.get(unit))])));
      this.#failed.delete(number);
    } catch (error) {
      if (error.name !== "AbortError") this.#fails(number);
    } finally {
      this.#asked.delete(number);
      this.#changed();
    }
  }

  #keep(number, views) {
    this.#blocks.set(number, views);
    for (const oldest of this.#blocks.keys()) {
      if (this.#blocks.size <= BLOCKS_KEPT) break;
      this.#blocks.delete(oldest);
    }
  }

  // What could not be read is asked for again by itself, if it is still to be seen then.
  #fails(number) {
    this.#failed.set(number, Date.now());
    clearTimeout(this.#again);
    this.#again = setTimeout(this.#changed, AGAIN + 1);
  }

  async #unitsOf(number) {
    const from = number * BLOCK;
    if (this.#given.order) await this.#ordered();
    const count = Math.max(0, Math.min(BLOCK, this.total - from));
    if (!this.#given.order) return Array.from({ length: count }, (_, at) => from + at);
    return [...this.#order.subarray(from, from + count)];
  }

  // The order of all units. It may be another one than that of the page, which is older, and of fewer or more: the
  // page's cells go to the places that they have in it.
  #ordered() {
    this.#asking ??= get(this.#given.order)
      .then((answer) => answer.arrayBuffer())
      .then((bytes) => {
        this.#order = new Uint32Array(bytes);
        this.total = this.#order.length;
        const known = new Map([...this.#first.values()].map((view) => [view.unit, view]));
        this.#first.clear();
        this.#order.forEach((unit, place) => known.has(unit) && this.#first.set(place, known.get(unit)));
        this.#changed();
      })
      .catch((error) => {
        this.#asking = null;
        throw error;
      });
    return this.#asking;
  }

  #nothingOf(place) {
    const unit = this.#given.order ? this.#order?.[place] : place;
    const isFailed = this.#failed.has(Math.floor(place / BLOCK));
    const known = this.#unknown;
    const name = `${place} ${isFailed} ${unit}`;
    if (known.size > 4000) known.clear();
    if (!known.has(name)) {
      known.set(name, {
        href: unit === undefined ? UNKNOWN : this.#addressOf(unit),
        title: unit === undefined ? "" : String(unit),
        figure: "",
        quiet: "",
        picture: null,
        why: isFailed ? "could not be read" : "",
        isComing: !isFailed,
      });
    }
    return known.get(name);
  }

  #view(cell) {
    const words = this.#given.words;
    const hasPicture = cell.state === "done";
    const said = words[cell.state ?? "none"] ?? cell.state;
    return {
      href: this.#addressOf(cell.unit),
      unit: cell.unit,
      title: cell.label ? first(cell.label) : String(cell.unit),
      figure: figureOf(cell, this.#given.by),
      quiet: cell.label ? `unit ${cell.unit}` : first(clearly(cell.seen) ?? "—"),
      picture: hasPicture ? this.#picture.replace("DIGEST", cell.digest) : null,
      alt: `Picture of unit ${cell.unit}${cell.label ? ` (${cell.label})` : ""}`,
      small: cell.side !== null && cell.side < Number(document.body.dataset.smallBelow),
      why: cell.state === "failed" && cell.error ? `${said}: ${cell.error.message.slice(0, 80)}` : said,
      isComing: false,
    };
  }

  #addressOf(unit) {
    return this.#unit.replace("UNIT-NUMBER", unit);
  }
}

// Of its names. A class without one has its number for a label.
const first = (label) => label.split(",")[0].replace(/^(?=\d+$)/, "class ");

// The class that the network sees, where it is sure enough to call the picture so.
const clearly = (seen) => (seen && seen.probability >= Number(document.body.dataset.clearFrom) ? seen.label : null);

async function get(address, signal) {
  const answer = await fetch(address, { signal });
  if (!answer.ok) throw new Error(`${answer.status} of ${address}`);
  return answer;
}

function read(item) {
  const image = item.querySelector("img");
  const say = (selector) => item.querySelector(selector)?.textContent ?? "";
  const href = item.querySelector("a").getAttribute("href");
  return {
    href,
    unit: Number(/\/units\/(\d+)/.exec(href)[1]),
    title: say("b"),
    figure: say(".figure"),
    quiet: say(".caption.quiet"),
    picture: image?.getAttribute("src") ?? null,
    alt: image?.alt ?? "",
    small: image?.classList.contains("pixels") ?? false,
    why: say(".no-picture"),
    isComing: false,
  };
}

// As the server says them: where it stands among photographs if that is the order, else the activation.
function figureOf(cell, by) {
  if (by === "percentile") return cell.percentile === null ? "" : percent(cell.percentile);
  return cell.activation === null ? "" : figure(cell.activation);
}

function percent(share) {
  if (share >= 99.95 && share < 100) return "> 99.9\u00a0%";
  const text = share === 0 || share === 100 || (share >= 1 && share <= 99) ? share.toFixed(0) : share.toFixed(1);
  return share > 0 && Number(text) === 0 ? "< 0.1\u00a0%" : `${text}\u00a0%`;
}
