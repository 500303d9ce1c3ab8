// A contact sheet that one moves about in: the tiles of its Deep Zoom pyramid on a canvas, those of the level that fits the
// screen, and until they have come what is there of coarser ones. A cell leads to its unit. Nothing moves by itself. How
// one moves about is in moving.js, which is loaded before.

const root = document.querySelector("[data-sheet]");
const given = JSON.parse(root.dataset.sheet);
const { width, height, columns, cell, tile, top, strips } = given; // a strip: [layer, first row, rows of title, cells, first unit, step]
const wrapper = root.querySelector(".sheet-view");
const canvas = wrapper.querySelector("canvas:not(.shape)");
const pen = canvas.getContext("2d");
const said = root.querySelector("#sheet-said");
const AT_ONCE = 6, KEPT = 240, NEAREST = 2;
const OPENED = 20; // CSS pixels: cells that are smaller are not opened, one comes nearer to them first
const base = Math.max(0, top - Math.max(0, Math.ceil(Math.log2(Math.max(width, height) / tile)))); // the largest level of one tile
const view = { x: width / 2, y: height / 2, zoom: 0 }; // the middle in pixels of the sheet, CSS pixels for one of these
const tiles = new Map(); // by name, what was wanted last at the end
let isWhole = true, under = null, frame = 0, coming = 0;

const ratio = () => Math.min(devicePixelRatio || 1, 2);
const wholeZoom = () => Math.min(wrapper.clientWidth / width, wrapper.clientHeight / height);

// ---- tiles ----

const nameOf = (level, col, row) => `${level}/${col}_${row}`;
const ready = (level, col, row) => {
  const name = nameOf(level, col, row), found = tiles.get(name);
  if (!found?.isReady) return null;
  tiles.delete(name);
  tiles.set(name, found);
  return found.image;
};

const ask = (wanted) => {
  for (const [level, col, row] of wanted) {
    const name = nameOf(level, col, row);
    if (coming >= AT_ONCE) return;
    if (tiles.has(name)) continue; // on its way, or not to be had
    const found = { image: new Image(), isReady: false };
    tiles.set(name, found);
    coming++;
    found.image.src = `${given.tiles}${name}.jpg`;
    found.image.decode().then(
      () => {
        found.isReady = true;
        if (said.dataset.coming !== undefined) said.textContent = "";
        delete said.dataset.coming;
      },
      () => {
        said.textContent = "A part of the sheet could not be read. Load the page again.";
        delete said.dataset.coming; // so that a tile that comes later does not wipe it
      },
    ).finally(() => {
      coming--;
      for (const [oldest, { isReady }] of tiles) {
        if (tiles.size <= KEPT) break;
        if (isReady) tiles.delete(oldest);
      }
      draw();
    });
  }
};

// ---- drawing, in pixels of the canvas ----

const drawNow = () => {
  frame = 0;
  const scale = ratio(), across = Math.round(wrapper.clientWidth * scale), down = Math.round(wrapper.clientHeight * scale);
  if (!across || !down) return;
  if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
  pen.clearRect(0, 0, across, down);
  const zoom = view.zoom * scale; // of the canvas
  const xOf = (x) => Math.round((x - view.x) * zoom + across / 2), yOf = (y) => Math.round((y - view.y) * zoom + down / 2);
  const level = Math.min(top, Math.max(base, top + Math.ceil(Math.log2(zoom) - 0.1)));
  const side = tile * 2 ** (top - level); // of a tile, in pixels of the sheet
  const from = (middle, size) => Math.max(0, Math.floor((middle - size / 2 / zoom) / side));
  const to = (middle, size, all) => Math.min(Math.ceil(all / side) - 1, Math.floor((middle + size / 2 / zoom) / side));
  const wanted = [];
  pen.imageSmoothingQuality = "high";
  for (let row = from(view.y, down); row <= to(view.y, down, height); row++) {
    for (let col = from(view.x, across); col <= to(view.x, across, width); col++) {
      const x = col * side, y = row * side, right = Math.min(width, x + side), bottom = Math.min(height, y + side);
      if (!ready(level, col, row)) wanted.push([level, col, row]);
      for (let up = 0; level - up >= base; up++) {
        const image = ready(level - up, col >> up, row >> up);
        if (!image) continue;
        const one = 2 ** (top - level + up), left = x / one - (col >> up) * tile, above = y / one - (row >> up) * tile;
        const wide = Math.min(image.naturalWidth - left, (right - x) / one), high = Math.min(image.naturalHeight - above, (bottom - y) / one);
        pen.drawImage(image, left, above, wide, high, xOf(x), yOf(y), xOf(right) - xOf(x), yOf(bottom) - yOf(y));
        break;
      }
    }
  }
  if (under) {
    pen.strokeStyle = getComputedStyle(wrapper).outlineColor;
    pen.lineWidth = 2 * scale;
    pen.strokeRect(xOf(under.col * cell), yOf(under.row * cell), Math.round(cell * zoom), Math.round(cell * zoom));
  }
  const middle = ([, col, row]) => Math.hypot((col + 0.5) * side - view.x, (row + 0.5) * side - view.y);
  wanted.sort((one, other) => middle(one) - middle(other));
  ask(ready(base, 0, 0) ? wanted : [[base, 0, 0], ...wanted]);
};
const draw = () => { if (!frame) frame = requestAnimationFrame(drawNow); };

// ---- cells ----

const cellAt = (x, y) => {
  const col = Math.floor((view.x + (x - wrapper.clientWidth / 2) / view.zoom) / cell);
  const row = Math.floor((view.y + (y - wrapper.clientHeight / 2) / view.zoom) / cell);
  const strip = strips.findLast(([, first]) => first <= row);
  if (!strip || col < 0 || col >= columns) return null;
  const [layer, first, titles, cells, unit, step] = strip, number = (row - first - titles) * columns + col;
  if (number < 0 || number >= cells) return null;
  const address = unit === null ? given.cell_page : given.unit_page;
  const shown = unit === null ? number : unit + step * number;
  return {
    col,
    row,
    name: unit === null ? `${layer}, cell ${number + 1}` : `${layer}/${shown}`,
    href: address.replace(given.layer_stands_in, encodeURIComponent(layer)).replace(given.number_stands_in, shown),
  };
};
const look = (found) => {
  if (found?.href === under?.href) return;
  under = found;
  wrapper.title = found?.name ?? "";
  said.textContent = found?.name ?? "";
  delete said.dataset.coming;
  draw();
};
const middle = () => cellAt(wrapper.clientWidth / 2, wrapper.clientHeight / 2);
const open = (found, inNewTab) => {
  if (!found) return;
  if (inNewTab) window.open(found.href, "_blank", "noopener");
  else location.assign(found.href);
};

// ---- moving ----

// In the address is the middle, from 0 to 1 both ways, and how many times as large as the whole sheet it is.
const keep = imagoMoving.keeper(() => ({
  named: { view: isWhole ? null : [(view.x / width).toFixed(4), (view.y / height).toFixed(4), (view.zoom / wholeZoom()).toFixed(2)] },
}));
const moved = () => {
  draw();
  keep();
};
const within = (value, least, most) => Math.min(most, Math.max(least, value));
const zoomAt = (by, x = wrapper.clientWidth / 2, y = wrapper.clientHeight / 2) => {
  const right = x - wrapper.clientWidth / 2, below = y - wrapper.clientHeight / 2;
  const sheetX = view.x + right / view.zoom, sheetY = view.y + below / view.zoom;
  view.zoom = within(view.zoom * by, wholeZoom(), Math.max(NEAREST, wholeZoom()));
  isWhole = view.zoom <= wholeZoom();
  view.x = isWhole ? width / 2 : within(sheetX - right / view.zoom, 0, width);
  view.y = isWhole ? height / 2 : within(sheetY - below / view.zoom, 0, height);
  moved();
};
const pan = (x, y) => {
  isWhole = false;
  view.x = within(view.x - x / view.zoom, 0, width);
  view.y = within(view.y - y / view.zoom, 0, height);
  moved();
};
const showWhole = () => {
  isWhole = true;
  Object.assign(view, { x: width / 2, y: height / 2, zoom: wholeZoom() });
  moved();
};

const click = ({ x, y }, event) => {
  if (cell * view.zoom < OPENED) zoomAt(4, x, y);
  else open(cellAt(x, y), event.ctrlKey || event.metaKey);
};
const over = (place) => look(place && cellAt(place.x, place.y));

const [x, y, zoom] = imagoMoving.numbers("view", 3) ?? [];
showWhole();
if (zoom) {
  isWhole = false;
  Object.assign(view, { x: x * width, y: y * height, zoom: zoom * wholeZoom() });
  zoomAt(1);
}
imagoMoving.listen(root, wrapper, { pan, zoomAt, showWhole, click, over, keys: { Enter: () => open(middle(), false) } });
new ResizeObserver(() => (isWhole ? showWhole() : zoomAt(1))).observe(wrapper);
