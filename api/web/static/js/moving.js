// How one moves about in a picture on a canvas, alike in maps and in sheets: with a mouse, fingers, keys and buttons. And
// what one has found there, in the address, so that one comes back to it and can lead others there. A classic script, since
// static sites have maps, and modules do not work from files.

globalThis.imagoMoving = (() => {
  const STEP = 64, STILL = 5, RESTED_MS = 200; // CSS pixels that an arrow key moves it, and that a hand shakes in a click

  // `root` has the buttons, `wrapper` the canvas. `pan(right, down)`, `zoomAt(by, x, y)`, `showWhole()` and `click(place, event)`
  // do what they say, `over(place)` hears what is pointed at (null: nothing), `keys` are further ones. Places are in CSS
  // pixels of the wrapper. Where an area can be marked, `mark` has `isMeant(event)`, `show(area)` (null: none any more) and
  // `choose(area)`.
  const listen = (root, wrapper, { pan, zoomAt, showWhole, click, over = () => {}, keys, mark }) => {
    const held = new Map();
    let travelled = 0, area = null;
    const middle = () => ({ x: wrapper.clientWidth / 2, y: wrapper.clientHeight / 2 });
    const placeOf = (event) => {
      const box = wrapper.getBoundingClientRect();
      return { x: event.clientX - box.left - wrapper.clientLeft, y: event.clientY - box.top - wrapper.clientTop };
    };
    wrapper.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      wrapper.setPointerCapture(event.pointerId);
      if (!held.size) travelled = 0;
      const from = placeOf(event);
      held.set(event.pointerId, { ...from, isSure: event.pointerType !== "touch" });
      area = held.size === 1 && mark?.isMeant(event) ? { ...from, toX: from.x, toY: from.y } : null; // two fingers mark none
      mark?.show(area);
    });
    wrapper.addEventListener("pointermove", (event) => {
      const now = placeOf(event), before = held.get(event.pointerId);
      if (!before) return over(now);
      travelled += Math.hypot(now.x - before.x, now.y - before.y);
      held.set(event.pointerId, { ...now, isSure: true });
      if (area) return mark.show(Object.assign(area, { toX: now.x, toY: now.y }));
      const [, other] = [...held].find(([id]) => id !== event.pointerId) ?? [];
      if (!other && !before.isSure) return; // after the first move of a finger browsers say whether they scroll by it
      if (!other) return pan(now.x - before.x, now.y - before.y);
      pan((now.x - before.x) / 2, (now.y - before.y) / 2);
      const apart = (one) => Math.hypot(one.x - other.x, one.y - other.y) || 1;
      zoomAt(apart(now) / apart(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    });
    const end = (event) => {
      if (!held.delete(event.pointerId)) return;
      const marked = area;
      area = null;
      mark?.show(null);
      if (event.type === "pointercancel" || held.size) return;
      if (travelled < STILL) click(placeOf(event), event);
      else if (marked) mark.choose(marked);
    };
    wrapper.addEventListener("pointerup", end);
    wrapper.addEventListener("pointercancel", end);
    wrapper.addEventListener("pointerleave", () => held.size || over(null));
    // On phones one finger scrolls the page (touch-action), two are for what is here.
    wrapper.addEventListener("touchmove", (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });
    wrapper.addEventListener("wheel", (event) => {
      event.preventDefault();
      const place = placeOf(event);
      zoomAt(Math.exp(-event.deltaY / 400), place.x, place.y);
      over(place);
    }, { passive: false });
    const all = {
      ArrowLeft: () => pan(STEP, 0), ArrowRight: () => pan(-STEP, 0), ArrowUp: () => pan(0, STEP), ArrowDown: () => pan(0, -STEP),
      "+": () => zoomAt(1.5), "=": () => zoomAt(1.5), "-": () => zoomAt(1 / 1.5), 0: showWhole, ...keys,
    };
    wrapper.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !all[event.key]) return;
      event.preventDefault();
      all[event.key]();
      over(middle());
    });
    wrapper.addEventListener("focus", () => wrapper.matches(":focus-visible") && over(middle()));
    wrapper.addEventListener("blur", () => over(null));
    for (const button of root.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => (Number(button.dataset.zoom) ? zoomAt(Number(button.dataset.zoom)) : showWhole()));
    }
  };

  // What the address says under a name, `0.5,0.25,8`: so many numbers, or null.
  const words = (name) => new URLSearchParams(location.search).get(name)?.split(",") ?? [];
  const numbers = (name, count) => {
    const found = words(name).map(Number);
    return found.length === count && found.every(Number.isFinite) ? found : null;
  };

  // Keeps what `read` says once nothing has moved for a while: `named` in the address, lists by their names, of which an
  // empty one is left out; `state` in the history's entry.
  const keeper = (read) => {
    let timer = 0;
    const keep = () => {
      timer = 0;
      const { named, state } = read(), url = new URL(location.href);
      for (const [name, list] of Object.entries(named)) {
        if (list?.length) url.searchParams.set(name, list.join(","));
        else url.searchParams.delete(name);
      }
      url.search = url.searchParams.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
      try {
        history.replaceState({ ...history.state, ...state }, "", url);
      } catch {
        // Some browsers allow it to no page that is opened from a file.
      }
    };
    addEventListener("pagehide", () => timer && keep());
    return () => {
      clearTimeout(timer);
      timer = setTimeout(keep, RESTED_MS);
    };
  };

  return { listen, words, numbers, keeper };
})();
