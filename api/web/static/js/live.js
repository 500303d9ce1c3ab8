// Keeps the page of something that goes on alive: a job, an atlas, a training, a scan. The element with the id `live`
// names its stream of events (data-events), the state that the page shows (data-state) and how the page is called
// (data-title, a pattern); it names no stream once there is nothing more to come. A page that answers a form says as
// data-page where it can be read. Events fill
//   data-live="PATTERN"               the text of an element; data-live-layer="NAME" around it: of that layer
//   data-live-value="PATHS" and -max  a <progress>
//   id="item-ORDINAL"                 a cell of a job's grid, whose data-coming is the picture's address
// Rows of a table that are filled alike leave all three empty: data-rows, data-rows-value and -max say them once, around. With
// data-rows-more there are layers that the table leaves out.
// Whatever else changes (buttons, reasons, versions) is read anew from the server: the elements with data-live-part.
// Where no stream gets through, all of it is read so, again and again.

import { filled, sum } from "./patterns.js";
import { isGone, reached, refresh } from "./refresh.js";

const FIRST_MS = 10_000; // the first event comes at once; later than this a proxy holds it back
const SILENT_MS = 60_000; // what goes on says so every few seconds: a connection may be lost without a word
const AGAIN_MS = 5_000;
const SAID_EVERY_MS = 60_000;
const SOON_MS = 1_000;
const FRESH_EVERY_MS = 4_000;
const FRESH_AFTER_MS = 30_000; // what no event tells: an atlas's pictures, activations
const WORDS = { leased: "being computed", queued: "waiting" };

let stream = null;
let timer = 0; // of what is to come next: the watch over a stream, or the next try
let turn = 0; // whoever waits for an answer looks whether it is still their turn
let failures = 0;
let lastId = null;
let before = null;
let saidAt = 0;
let freshAt = Date.now();
let freshening = 0;

const live = () => document.getElementById("live");
const parts = () => [...document.querySelectorAll("[data-live-part][id]")];

const close = () => {
  turn += 1;
  clearTimeout(timer);
  stream?.close();
  stream = null;
};

const open = () => {
  close();
  const events = live()?.dataset.events;
  if (document.hidden || !events) return;
  const url = new URL(events, location.href);
  if (lastId) url.searchParams.set("last_event_id", lastId);
  stream = new EventSource(url);
  stream.addEventListener("progress", told);
  stream.addEventListener("end", told);
  // A connection that breaks is opened again by the browser; any answer but 200 is final for it: 204 at the end, 401
  // after signing out, 429 and 503 where there are too many.
  stream.addEventListener("error", () => stream?.readyState === EventSource.CLOSED && again());
  timer = setTimeout(again, FIRST_MS);
};

// Read everything anew, then try once more; where streams fail repeatedly, mostly without one.
const again = async () => {
  close();
  failures += 1;
  const mine = turn;
  const status = await refresh(parts());
  if (status === 200) say(live()?.dataset.state);
  if (mine !== turn || document.hidden || isGone(status) || !live()?.dataset.events) return;
  timer = setTimeout(failures < 3 || failures % 12 === 0 ? open : again, AGAIN_MS);
};

const told = (event) => {
  lastId = event.lastEventId;
  failures = 0;
  reached(true);
  clearTimeout(timer);
  const data = JSON.parse(event.data);
  show(data);
  if (event.type === "end") {
    clearTimeout(freshening);
    freshening = 0;
    again();
  } else {
    timer = setTimeout(again, SILENT_MS);
  }
};

const pattern = (element, name) =>
  element.dataset[`live${name}`] || element.closest("[data-rows]")?.dataset[`rows${name}`] || "";

const show = (data) => {
  const layers = new Map((data.layers ?? []).map((layer) => [layer.layer, layer]));
  const of = (element) => {
    const row = element.closest("[data-live-layer]");
    return row ? layers.get(row.dataset.liveLayer) : data;
  };
  for (const element of document.querySelectorAll("[data-live]")) {
    const from = of(element);
    const text = from && filled(pattern(element, ""), from);
    if (from && element.textContent !== text) element.textContent = text;
  }
  for (const bar of document.querySelectorAll("progress[data-live-value]")) {
    const from = of(bar);
    if (!from) continue;
    bar.max = sum(from, pattern(bar, "Max")) || 1;
    bar.value = sum(from, pattern(bar, "Value"));
  }
  for (const item of data.items ?? []) fill(item);
  const title = live()?.dataset.title;
  if (title) document.title = filled(title, data);
  const { progress: _, items: __, layers: ___, queue: ____, ...rest } = data;
  const now = JSON.stringify(rest);
  const isOther = before === null ? data.state !== live()?.dataset.state : before !== now;
  const hasNewLayer =
    !document.querySelector("[data-rows-more]") &&
    [...layers.keys()].some((name) => !document.querySelector(`[data-live-layer="${CSS.escape(name)}"]`));
  before = now;
  say(data.state);
  if (isOther || hasNewLayer || Date.now() - freshAt > FRESH_AFTER_MS) freshen();
};

// The picture takes the place that was kept for it, once it can be shown.
const fill = async ({ ordinal, state }) => {
  const place = document.getElementById(`item-${ordinal}`)?.querySelector("[data-coming]");
  if (!place) return;
  if (state !== "done") {
    place.textContent = WORDS[state] ?? state;
    return;
  }
  const picture = new Image(160, 160);
  picture.alt = place.dataset.alt;
  picture.src = place.dataset.coming;
  try {
    await picture.decode();
    if (picture.naturalWidth < Number(document.body.dataset.smallBelow)) picture.className = "pixels";
    place.replaceWith(picture);
  } catch {
    place.textContent = "done";
  }
};

// For who does not see the page: a change of the state at once, else how far it is, and rarely.
let saidState = live()?.dataset.state;
const say = (state) => {
  const place = document.getElementById("said");
  if (!place || (state === saidState && Date.now() - saidAt < SAID_EVERY_MS)) return;
  saidState = state;
  saidAt = Date.now();
  place.textContent = document.title.split(" · ")[0];
};

const freshen = () => {
  if (freshening) return;
  const wait = Math.max(SOON_MS, freshAt + FRESH_EVERY_MS - Date.now());
  freshening = setTimeout(async () => {
    freshening = 0;
    freshAt = Date.now();
    if (isGone(await refresh(parts()))) close(); // which would go on for who is signed out
  }, wait);
};

document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
addEventListener("pagehide", close);
addEventListener("pageshow", (event) => event.persisted && open());
addEventListener("online", open);
saidAt = Date.now();
open();
