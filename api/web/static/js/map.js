// The map of an atlas: a scatter of units that one moves about in. Points are written into the picture's memory, so
// that a hundred thousand are drawn in every frame; where there are few in view, one thumbnail stands in each cell of a grid.
// What it shows comes from the server, or from `imagoMapSource` of a static site (static-map.js), whose pages load this
// as a classic script. How one moves about is in moving.js, what is
// known of units in map-units.js; both are loaded before.

const root = document.querySelector(".map");
const wrapper = root.querySelector(".map-canvas");
const canvas = wrapper.querySelector("canvas");
const pen = canvas.getContext("2d");
const list = root.querySelector("[data-list]");
const said = root.querySelector("#map-said");
const more = root.querySelector("[data-more]");
const selecting = root.querySelector("[data-select]");
const boxes = [...root.querySelectorAll("[data-layer]")];
const CELL = 56, SIDE = 48, STRETCHED = 2, LISTED = 48, LARGEST = 256, KEPT = 800;
const view = { x: 0.5, y: 0.5, zoom: 1 }; // its middle, where 0 to 1 is what the points take up across and down
const pictures = new Map();
const size = { width: 0, height: 0 }; // of the canvas in CSS pixels: read when it changes, since that makes browsers lay out
const whole = { width: 0, height: 0 }; // of all points at a zoom of 1, in CSS pixels
let points, labels = [], drawn = [], dotted = null, pixels, colours, shownLayers, area = null, frame = 0, rest = 0;
let chosen = {}, selection = null; // an `area` of the map that somebody has marked, or `units`; those of it that show, or null
let most = LISTED, listed = [];

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

const units = imagoMapUnits(root, source, () => draw());

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
  const unit = units.known.get(key(at));
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
    pen.imageSmoothingEnabled = !imagoMapUnits.isTiny(image);
    pen.drawImage(image, x - SIDE / 2, y - SIDE / 2, SIDE, SIDE);
  }
  if (selection) {
    pen.strokeStyle = style.color;
    pen.lineWidth = 2;
    for (const at of listed) if (inView(at)) {
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
    const font = `${weight} 13px ${style.fontFamily}`, text = label.split(",")[0].replace(/^(?=\d+$)/, "class "), x = xOf(place.x), y = yOf(place.y);
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

// ---- what is listed beside it, once the map rests ----

// What is selected, or in view: of that those first whose thumbnails stand on the map.
const toList = (thumbnails) => {
  if (selection) return selection.slice(0, most);
  const found = new Set(thumbnails);
  for (let at = 0; at < points.count && found.size < most; at++) if (isShown(at) && inView(at)) found.add(at);
  return [...found].slice(0, most);
};
const number = (count) => count.toLocaleString("fr");
const rested = () => {
  const cells = inCells(), thumbnails = cells.chosen.map(({ at }) => at), count = selection ? selection.length : cells.seen;
  listed = toList(thumbnails);
  const text = `${number(count)} ${count === 1 ? "unit" : "units"} ${selection ? "selected" : "in view"}`;
  if (said.textContent !== text) said.textContent = text;
  more.hidden = listed.length >= count;
  more.querySelector("button").textContent = `Show ${Math.min(LISTED, count - listed.length)} more`;
  more.querySelector("span").textContent = `${number(listed.length)} of ${number(count)} are listed`;
  units.want([...listed, ...thumbnails].map(key));
  units.show(listed.map(key));
};
const changed = () => {
  draw();
  clearTimeout(rest);
  rest = setTimeout(rested, 150);
};

// ---- moving and choosing ----

const clamped = (value, least, greatest) => Math.min(greatest, Math.max(least, value));
const moved = () => {
  if (!selection) most = LISTED;
  changed();
  keep();
};
const zoomAt = (by, x = size.width / 2, y = size.height / 2) => {
  const mapX = view.x + (x - size.width / 2) / across(), mapY = view.y + (y - size.height / 2) / down();
  view.zoom = clamped(view.zoom * by, 0.5, LARGEST);
  view.x = mapX - (x - size.width / 2) / across();
  view.y = mapY - (y - size.height / 2) / down();
  moved();
};
const pan = (x, y) => {
  view.x = clamped(view.x - x / across(), 0, 1);
  view.y = clamped(view.y - y / down(), 0, 1);
  moved();
};
const showWhole = () => {
  Object.assign(view, { x: 0.5, y: 0.5, zoom: 1 });
  choose({});
};
const select = () => {
  const found = chosen.area ? inside(chosen.area) : (chosen.units ?? []).filter(isShown);
  selection = found.length ? found : null;
};
const choose = (what) => {
  chosen = what;
  most = LISTED;
  select();
  draw();
  rested();
  keep();
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
const inside = ([left, above, right, below]) => {
  const { x, y } = points, found = [];
  for (let at = 0; at < points.count; at++) {
    if (isShown(at) && x[at] >= left && x[at] <= right && y[at] >= above && y[at] <= below) found.push(at);
  }
  return found;
};
const mark = {
  isMeant: (event) => event.shiftKey || selecting.ariaPressed === "true",
  show: (now) => {
    area = now;
    draw();
  },
  choose: ({ x, y, toX, toY }) => {
    const right = (place) => view.x + (place - size.width / 2) / across(), below = (place) => view.y + (place - size.height / 2) / down();
    choose({ area: [right(Math.min(x, toX)), below(Math.min(y, toY)), right(Math.max(x, toX)), below(Math.max(y, toY))] });
  },
};
const keys = {
  Escape: () => choose({}),
  Enter: () => choose({ units: near(size.width / 2, size.height / 2, 160).slice(0, LISTED) }),
};

// ---- what one has found, in the address: the middle and the zoom, layers that are left out, what is selected ----

const KEPT_LIST = "imagoMap"; // in the state of the history's entry
const keep = imagoMoving.keeper(() => {
  const isWhole = view.x === 0.5 && view.y === 0.5 && view.zoom === 1;
  return {
    named: {
      view: isWhole ? null : [view.x.toFixed(5), view.y.toFixed(5), Number(view.zoom.toPrecision(4))],
      without: boxes.flatMap((box, layer) => (box.checked ? [] : [units.names[layer]])),
      area: chosen.area?.map((side) => side.toFixed(5)),
      units: chosen.units?.map((at) => units.toAddress(key(at))),
    },
    state: { [KEPT_LIST]: { most, top: list.scrollTop } },
  };
});
const found = () => {
  const [x, y, zoom] = imagoMoving.numbers("view", 3) ?? [];
  if (zoom) Object.assign(view, { x: clamped(x, 0, 1), y: clamped(y, 0, 1), zoom: clamped(zoom, 0.5, LARGEST) });
  const without = imagoMoving.words("without"), named = imagoMoving.words("units"), area = imagoMoving.numbers("area", 4);
  boxes.forEach((box, layer) => (box.checked = !without.includes(units.names[layer])));
  shownLayers = Uint8Array.from(boxes, (box) => (box.checked ? 1 : 0));
  if (area) chosen = { area };
  else if (named.length) {
    const places = new Map(named.map((place) => [units.fromAddress(place), -1]));
    for (let at = 0; at < points.count; at++) if (places.has(key(at))) places.set(key(at), at);
    chosen = { units: [...places.values()].filter((at) => at >= 0) };
  }
  select();
};

const listen = () => {
  const click = ({ x, y }) => choose({ units: pointedAt(x, y) });
  imagoMoving.listen(root, wrapper, { pan, zoomAt, showWhole, click, keys, mark });
  selecting.addEventListener("click", () => (selecting.ariaPressed = String(selecting.ariaPressed !== "true")));
  more.querySelector("button").addEventListener("click", () => {
    most += LISTED;
    rested();
    draw();
    keep();
  });
  list.addEventListener("scroll", keep);
  for (const box of boxes) {
    box.addEventListener("change", () => {
      shownLayers[Number(box.dataset.layer)] = box.checked ? 1 : 0;
      select();
      moved();
    });
  }
  const repaint = () => { paint(); draw(); };
  new ResizeObserver(() => {
    measure();
    changed();
  }).observe(wrapper);
  new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
};

const begin = async () => {
  measure();
  fitted(await source.read());
  found();
  paint();
  root.querySelector(".map-tools").hidden = false;
  const kept = history.state?.[KEPT_LIST];
  most = kept?.most ?? LISTED;
  draw();
  rested();
  list.scrollTop = kept?.top ?? 0;
  listen();
};

begin().catch((error) => (said.textContent = `The map could not be read: ${error.message}. Load the page again.`));
