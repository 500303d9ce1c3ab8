// The map of an atlas: a scatter of units that one moves about in. Points are written into the picture's memory, so
// that a hundred thousand are drawn in every frame; where there are few in view, one thumbnail stands in each cell of a grid.
// What it shows comes from the server, or from `imagoMapSource` of a static site (static-map.js), whose pages load this
// as a classic script.

const root = document.querySelector(".map");
const wrapper = root.querySelector(".map-canvas");
const canvas = wrapper.querySelector("canvas");
const pen = canvas.getContext("2d");
const list = root.querySelector("[data-list]");
const said = root.querySelector("#map-said");
const boxes = [...root.querySelectorAll("[data-layer]")];
const layers = boxes.map((box) => box.parentElement.querySelector("code").textContent);
const CELL = 56, SIDE = 48, STRETCHED = 2, MOST_LISTED = 48, AT_ONCE = 200, LARGEST = 256, KEPT = 800;
const view = { x: 0.5, y: 0.5, zoom: 1 }; // its middle, where 0 to 1 is what the points take up across and down
const known = new Map(), pictures = new Map(), wanted = new Set();
const size = { width: 0, height: 0 }; // of the canvas in CSS pixels: read when it changes, since that makes browsers lay out
const whole = { width: 0, height: 0 }; // of all points at a zoom of 1, in CSS pixels
let points, labels = [], drawn = [], dotted = null, pixels, colours, shownLayers, selection = null, area = null, frame = 0, rest = 0, asking = false;

// `read`: the columns of points and the names of regions; `units`: what is known of some, by "layer:unit".
const source = globalThis.imagoMapSource ?? {
  async read() {
    const [columns, facts] = await Promise.all([
      fetch(root.dataset.points).then((answer) => (answer.ok ? answer.arrayBuffer() : Promise.reject(new Error(`status ${answer.status}`)))),
      fetch(root.dataset.map).then((answer) => answer.json()),
    ]);
    return { columns, labels: facts.map.labels };
  },
  async units(places) {
    const answer = await fetch(`${root.dataset.units}?places=${places.join(",")}`);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return (await answer.json()).data.map((unit) => ({ ...unit, picture: `${unit.links.image}.webp?size=128` }));
  },
};

const read = (buffer) => {
  const head = new DataView(buffer), count = head.getUint32(12, true);
  if (head.getUint32(8, true) !== 1) throw new Error("the points have another format");
  return {
    count,
    x: new Float32Array(buffer, 16, count),
    y: new Float32Array(buffer, 16 + 4 * count, count),
    unit: new Uint32Array(buffer, 16 + 8 * count, count),
    layer: new Uint16Array(buffer, 16 + 12 * count, count),
  };
};

// ---- where things are ----

const ratio = () => Math.min(devicePixelRatio || 1, 2);
const across = () => whole.width * view.zoom;
const down = () => whole.height * view.zoom;
const xOf = (x) => (x - view.x) * across() + size.width / 2;
const yOf = (y) => (y - view.y) * down() + size.height / 2;
const measure = () => {
  Object.assign(size, { width: wrapper.clientWidth, height: wrapper.clientHeight });
  // Whole cells, which the thumbnails at the rim fill; a little less, since the last point begins no cell of its own.
  const [width, height] = [size.width, size.height].map((side) => Math.max(1, Math.floor((side - 8) / CELL)) * CELL - 1);
  // What is near stays near: neither side is drawn out to more than twice the other.
  Object.assign(whole, { width: Math.min(width, STRETCHED * height), height: Math.min(height, STRETCHED * width) });
};
// The points, and the names of regions, from 0 to 1 both ways.
const fitted = ({ columns, labels: levels }) => {
  const found = read(columns);
  for (const side of ["x", "y"]) {
    let [least, most] = [Infinity, -Infinity];
    for (const value of found[side]) {
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
    const fit = (value) => (most > least ? (value - least) / (most - least) : 0.5);
    found[side] = found[side].map(fit);
    levels = levels.map((level) => level.map((label) => ({ ...label, [side]: fit(label[side]) })));
  }
  points = found;
  labels = levels;
};
const inView = (at) => {
  const x = xOf(points.x[at]), y = yOf(points.y[at]);
  return x >= 0 && y >= 0 && x < size.width && y < size.height;
};
const isShown = (at) => shownLayers[points.layer[at]] === 1;
const key = (at) => `${points.layer[at]}:${points.unit[at]}`;

// ---- drawing ----

const channels = (colour) => (colour.match(/[\d.]+/g) || [0, 0, 0]).slice(0, 3).map(Number);
const paint = () => {
  const [red, green, blue] = channels(getComputedStyle(document.body).backgroundColor);
  const isDark = red + green + blue < 384;
  colours = new Uint32Array(Math.max(boxes.length, 1));
  const sample = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  boxes.forEach((box, layer) => {
    const hue = 20 + (300 * layer) / Math.max(boxes.length - 1, 1);
    const colour = `hsl(${hue} ${isDark ? "65% 65%" : "60% 40%"})`;
    box.parentElement.querySelector("circle").setAttribute("fill", colour);
    sample.fillStyle = colour;
    sample.fillRect(0, 0, 1, 1);
    const [r, g, b] = sample.getImageData(0, 0, 1, 1).data;
    colours[layer] = (255 << 24) | (b << 16) | (g << 8) | r;
  });
};

const dots = () => {
  const { width, height } = canvas, scale = ratio(), { x: xs, y: ys, layer } = points;
  if (dotted?.width === width && dotted.height === height) pixels.fill(0);
  else pixels = new Uint32Array((dotted = pen.createImageData(width, height)).data.buffer);
  const side = Math.max(1, Math.round(scale * Math.min(6, (points.count > 20000 ? 1.5 : 3) * view.zoom ** 0.3)));
  const wide = across() * scale, high = down() * scale, x0 = width / 2 - view.x * wide, y0 = height / 2 - view.y * high;
  for (let at = 0; at < points.count; at++) {
    if (shownLayers[layer[at]] !== 1) continue;
    const x = Math.round(xs[at] * wide + x0), y = Math.round(ys[at] * high + y0);
    if (x < 0 || y < 0 || x + side > width || y + side > height) continue;
    const colour = colours[layer[at]], end = (y + side) * width + x;
    for (let row = y * width + x; row < end; row += width) {
      for (let pixel = row; pixel < row + side; pixel++) pixels[pixel] = colour;
    }
  }
  pen.putImageData(dotted, 0, 0);
};

// The first point of each cell that shows, with the place of its thumbnail: the middle of the cell, so that none lies on
// another. Points are in random order, so that it is a fair one. Cells belong to the map and move with it.
const inCells = () => {
  const { x: xs, y: ys, layer } = points, { width, height } = size;
  const wide = across(), high = down(), x0 = width / 2 - view.x * wide, y0 = height / 2 - view.y * high;
  const left = Math.floor(-x0 / CELL), top = Math.floor(-y0 / CELL); // the first cell that shows
  const columns = Math.ceil((width - x0) / CELL) - left, rows = Math.ceil((height - y0) / CELL) - top;
  const isTaken = new Uint8Array(columns * rows), first = [];
  let seen = 0;
  for (let at = 0; at < points.count; at++) {
    if (shownLayers[layer[at]] !== 1) continue;
    const x = xs[at] * wide, y = ys[at] * high, column = Math.floor(x / CELL) - left, row = Math.floor(y / CELL) - top;
    if (column < 0 || row < 0 || column >= columns || row >= rows) continue;
    if (x + x0 >= 0 && y + y0 >= 0 && x + x0 < width && y + y0 < height) seen++;
    const cell = row * columns + column;
    if (isTaken[cell]) continue;
    isTaken[cell] = 1;
    first.push({ at, x: (left + column + 0.5) * CELL + x0, y: (top + row + 0.5) * CELL + y0 });
  }
  return { seen, chosen: seen <= Math.max(400, 12 * first.length) ? first : [] };
};

const picture = (at) => {
  const unit = known.get(key(at));
  if (!unit) return null;
  let image = pictures.get(unit.picture);
  if (!image) {
    if (pictures.size >= KEPT) pictures.delete(pictures.keys().next().value);
    image = new Image();
    image.addEventListener("load", draw);
    image.src = unit.picture;
    pictures.set(unit.picture, image);
  }
  return image.complete && image.naturalWidth ? image : null;
};

// Shown with its pixels as squares.
const isTiny = (image) => image.naturalWidth < Number(document.body.dataset.smallBelow);

const frameNow = () => {
  frame = 0;
  const scale = ratio(), width = Math.round(size.width * scale), height = Math.round(size.height * scale);
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  dots();
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  const style = getComputedStyle(wrapper), called = names(style);
  drawn = inCells().chosen
    .filter((one) => !called.some((name) => isUnder(one, name)))
    .map((one) => ({ ...one, image: picture(one.at) }))
    .filter(({ image }) => image);
  for (const { image, x, y } of drawn) {
    pen.imageSmoothingEnabled = !isTiny(image);
    pen.drawImage(image, x - SIDE / 2, y - SIDE / 2, SIDE, SIDE);
  }
  if (selection) {
    pen.strokeStyle = style.color;
    pen.lineWidth = 2;
    for (const at of selection.slice(0, MOST_LISTED)) if (inView(at)) {
      const { x, y } = drawn.find((one) => one.at === at) ?? { x: xOf(points.x[at]), y: yOf(points.y[at]) };
      pen.strokeRect(x - SIDE / 2, y - SIDE / 2, SIDE, SIDE);
    }
  }
  write(style, called);
  if (area) {
    pen.strokeStyle = style.color;
    pen.strokeRect(area.x, area.y, area.toX - area.x, area.toY - area.y);
  }
  pen.setTransform(1, 0, 0, 1, 0, 0);
};
const draw = () => { if (!frame) frame = requestAnimationFrame(frameNow); };

// The regions that suit the zoom, and where they leave room those of the next level: of very many units the large
// regions often have no label in common.
const names = (style) => {
  const suits = Math.max(0, Math.min(labels.length - 1, Math.floor(Math.log2(view.zoom))));
  const level = [suits, suits + 1].flatMap((each) => (labels[each] || []).map((one) => ({ ...one, weight: each === suits ? 600 : 400 })));
  const taken = [], said = new Set();
  for (const { label, weight, ...place } of level) {
    if (said.has(label)) continue;
    const font = `${weight} 13px ${style.fontFamily}`, text = label.split(",")[0], x = xOf(place.x), y = yOf(place.y);
    pen.font = font;
    const half = pen.measureText(text).width / 2 + 4;
    if (x < half || x > size.width - half || y < 16 || y > size.height - 8) continue;
    if (taken.some((other) => Math.abs(other.x - x) < half + other.half && Math.abs(other.y - y) < 18)) continue;
    taken.push({ text, font, x, y, half });
    said.add(label);
  }
  return taken;
};
const isUnder = ({ x, y }, name) => Math.abs(x - name.x) < SIDE / 2 + name.half && y + SIDE / 2 > name.y - 14 && y - SIDE / 2 < name.y + 6;
const write = (style, called) => {
  pen.textAlign = "center";
  pen.lineJoin = "round";
  pen.strokeStyle = style.backgroundColor;
  pen.fillStyle = style.color;
  pen.lineWidth = 4;
  for (const { text, font, x, y } of called) {
    pen.font = font;
    pen.strokeText(text, x, y);
    pen.fillText(text, x, y);
  }
};

// ---- what is known of units: asked for when the map rests ----

const ask = async () => {
  if (asking) return;
  asking = true;
  try {
    while (wanted.size) {
      const places = [...wanted].slice(0, AT_ONCE);
      places.forEach((place) => wanted.delete(place));
      for (const unit of await source.units(places)) known.set(`${layers.indexOf(unit.layer)}:${unit.unit}`, unit);
      draw();
      show();
    }
  } finally {
    asking = false;
  }
};
const want = (some) => {
  for (const at of some) if (!known.has(key(at))) wanted.add(key(at));
  if (wanted.size) ask().catch(() => {});
};

let listed = [];
const rested = () => {
  const cells = inCells(), { seen } = cells, chosen = cells.chosen.map(({ at }) => at);
  listed = selection || chosen;
  if (!listed.length) for (let at = 0; at < points.count && listed.length < MOST_LISTED; at++) if (isShown(at) && inView(at)) listed.push(at);
  const count = selection ? selection.length : seen;
  const text = `${count.toLocaleString("fr")} ${count === 1 ? "unit" : "units"} ${selection ? "selected" : "in view"}`;
  if (said.textContent !== text) said.textContent = text;
  wanted.clear();
  want(listed.slice(0, MOST_LISTED));
  want(chosen);
  show();
};
const moved = () => {
  draw();
  clearTimeout(rest);
  rest = setTimeout(rested, 150);
};

const show = () => {
  if (list.contains(document.activeElement)) return; // what somebody is at with the keyboard stays
  list.replaceChildren(...listed.slice(0, MOST_LISTED).map(entry));
};
const entry = (at) => {
  const item = document.createElement("li"), link = document.createElement("a"), unit = known.get(key(at));
  const layer = boxes[points.layer[at]], name = `${layers[points.layer[at]]}/${points.unit[at]}`;
  item.className = "cell";
  link.title = name;
  link.ariaLabel = unit?.label && unit.probability >= Number(document.body.dataset.clearFrom) ? `${name}, seen as ${unit.label}` : name;
  link.href = layer.dataset.unit.replace(root.dataset.standsIn, points.unit[at]);
  if (unit) {
    const image = new Image(72, 72);
    image.addEventListener("load", () => image.classList.toggle("pixels", isTiny(image)));
    Object.assign(image, { loading: "lazy", decoding: "async", alt: "", src: unit.picture });
    link.append(image);
  } else {
    const gap = document.createElement("span");
    gap.className = "no-picture";
    link.append(gap);
  }
  const caption = document.createElement("span");
  caption.className = "caption quiet";
  caption.textContent = name;
  link.append(caption);
  item.append(link);
  return item;
};

// ---- moving and choosing ----

const zoomAt = (by, x = size.width / 2, y = size.height / 2) => {
  const mapX = view.x + (x - size.width / 2) / across(), mapY = view.y + (y - size.height / 2) / down();
  view.zoom = Math.min(LARGEST, Math.max(0.5, view.zoom * by));
  view.x = mapX - (x - size.width / 2) / across();
  view.y = mapY - (y - size.height / 2) / down();
  moved();
};
const pan = (x, y) => {
  view.x = Math.min(1, Math.max(0, view.x - x / across()));
  view.y = Math.min(1, Math.max(0, view.y - y / down()));
  moved();
};
const showWhole = () => {
  Object.assign(view, { x: 0.5, y: 0.5, zoom: 1 });
  choose(null);
};
const choose = (some) => {
  selection = some && some.length ? some : null;
  draw();
  rested();
};
const near = (x, y, reach) => {
  const found = [];
  for (let at = 0; at < points.count; at++) if (isShown(at)) {
    const away = Math.hypot(xOf(points.x[at]) - x, yOf(points.y[at]) - y);
    if (away <= reach) found.push([away, at]);
  }
  return found.sort((one, other) => one[0] - other[0]).map(([, at]) => at);
};
// What somebody points at: the thumbnail, or else the nearest point.
const pointedAt = (x, y) => {
  const thumbnail = drawn.find((one) => Math.max(Math.abs(one.x - x), Math.abs(one.y - y)) <= SIDE / 2);
  return thumbnail ? [thumbnail.at] : near(x, y, SIDE / 2).slice(0, 1);
};
const within = ({ x, y, toX, toY }) => {
  const found = [], [x0, x1] = [Math.min(x, toX), Math.max(x, toX)], [y0, y1] = [Math.min(y, toY), Math.max(y, toY)];
  for (let at = 0; at < points.count; at++) {
    const right = xOf(points.x[at]), below = yOf(points.y[at]);
    if (isShown(at) && right >= x0 && right <= x1 && below >= y0 && below <= y1) found.push(at);
  }
  return found;
};

const listen = () => {
  const held = new Map(), selecting = root.querySelector("[data-select]");
  let travelled = 0;
  const at = (event) => {
    const box = wrapper.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  wrapper.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    wrapper.setPointerCapture(event.pointerId);
    const from = at(event);
    held.set(event.pointerId, from);
    travelled = 0;
    area = event.shiftKey || selecting.ariaPressed === "true" ? { ...from, toX: from.x, toY: from.y } : null;
  });
  wrapper.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const now = at(event), other = [...held].find(([id]) => id !== event.pointerId);
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    held.set(event.pointerId, now);
    if (area) {
      Object.assign(area, { toX: now.x, toY: now.y });
      draw();
    } else if (other) {
      const apart = (one) => Math.hypot(one.x - other[1].x, one.y - other[1].y) || 1;
      pan((now.x - before.x) / 2, (now.y - before.y) / 2);
      zoomAt(apart(now) / apart(before), (now.x + other[1].x) / 2, (now.y + other[1].y) / 2);
    } else pan(now.x - before.x, now.y - before.y);
  });
  const end = (event) => {
    if (!held.delete(event.pointerId)) return;
    const marked = area;
    area = null;
    if (event.type === "pointercancel") return draw();
    if (travelled < 5) choose(pointedAt(at(event).x, at(event).y));
    else if (marked) choose(within(marked));
  };
  wrapper.addEventListener("pointerup", end);
  wrapper.addEventListener("pointercancel", end);
  // On phones one finger scrolls the page (touch-action), two are for the map.
  wrapper.addEventListener("touchmove", (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });
  wrapper.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(Math.exp(-event.deltaY / 400), at(event).x, at(event).y);
  }, { passive: false });
  const step = 64, keys = {
    ArrowLeft: () => pan(step, 0), ArrowRight: () => pan(-step, 0), ArrowUp: () => pan(0, step), ArrowDown: () => pan(0, -step),
    "+": () => zoomAt(1.5), "=": () => zoomAt(1.5), "-": () => zoomAt(1 / 1.5), 0: showWhole, Escape: () => choose(null),
    Enter: () => choose(near(size.width / 2, size.height / 2, 160).slice(0, MOST_LISTED)),
  };
  wrapper.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const button of root.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => (Number(button.dataset.zoom) ? zoomAt(Number(button.dataset.zoom)) : showWhole()));
  }
  selecting.addEventListener("click", () => (selecting.ariaPressed = String(selecting.ariaPressed !== "true")));
  for (const box of boxes) {
    box.addEventListener("change", () => {
      shownLayers[Number(box.dataset.layer)] = box.checked ? 1 : 0;
      moved();
    });
  }
  const repaint = () => { paint(); draw(); };
  new ResizeObserver(() => {
    measure();
    moved();
  }).observe(wrapper);
  new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
};

const begin = async () => {
  measure();
  fitted(await source.read());
  shownLayers = Uint8Array.from(boxes, (box) => (box.checked ? 1 : 0));
  paint();
  root.querySelector(".map-tools").hidden = false;
  listen();
  moved();
};

begin().catch((error) => (said.textContent = `The map could not be read: ${error.message}. Load the page again.`));
