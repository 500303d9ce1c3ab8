"""A page in the hands of somebody who has a keyboard alone."""

from collections.abc import Iterator

from playwright.sync_api import Browser

from infra.browser.chromium import Look, looking

_MOST_STOPS = 150

_EXPECTED = """() => {
  const shown = (each) => each.checkVisibility({ visibilityProperty: true });
  const groups = new Set();
  const stops = [...document.querySelectorAll(
    'a[href], button, input, select, textarea, summary, [tabindex]')].filter((each) => {
      if (each.disabled || each.tabIndex < 0 || !shown(each) || each.type === "hidden") return false;
      if (each.type !== "radio" || !each.name) return true;
      const first = !groups.has(each.name); // the arrows choose among those of a name
      groups.add(each.name);
      return first;
    });
  stops.forEach((each, number) => {
    each.setAttribute("data-stop", each.type === "radio" ? `radio ${each.name}` : number);
  });
  // Where a page puts the focus into a field, what comes before it is reached as well: begin at the top.
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
  return stops.map((each) => [each.getAttribute("data-stop"), each.outerHTML.slice(0, 120)]);
}"""

_STILL_THERE = """() => [...document.querySelectorAll("[data-stop]")].map((each) => each.dataset.stop)"""

_FOCUSED = """() => {
  const focused = document.activeElement;
  if (!focused || focused === document.body) return null;
  const rings = (each) => {
    if (!each) return false;
    const style = getComputedStyle(each);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  };
  const seen = [focused, focused.nextElementSibling, ...focused.querySelectorAll("*")].some(rings);
  const box = focused.getBoundingClientRect();
  const stop = focused.type === "radio" ? `radio ${focused.name}` : focused.getAttribute("data-stop");
  const there = box.bottom > 0 && box.top < innerHeight;
  return { stop, seen, there, html: focused.outerHTML.slice(0, 120) };
}"""


def faults_of(browser: Browser, origin: str, path: str, look: Look) -> Iterator[str]:
    """Go through a page with the Tab key; name what is not reached, and where the focus cannot be seen."""
    with looking(browser, look) as context:
        page = context.new_page()
        page.goto(origin + path, wait_until="load")
        expected: dict[str, str] = dict(page.evaluate(_EXPECTED))
        reached: dict[str, None] = {}
        went_through = False  # scripts may add stops meanwhile, more than one wants to go through
        for _ in range(_MOST_STOPS):
            page.keyboard.press("Tab")
            focused = page.evaluate(_FOCUSED)
            stop = None if focused is None else str(focused["stop"])
            if focused is None or stop == next(iter(reached), None):
                went_through = True  # browsers leave the page after its last stop, or begin again
                break
            if focused["stop"] is not None:
                reached[str(stop)] = None
            if not focused["seen"]:
                yield f"does not show the focus on {focused['html']}"
            if not focused["there"]:
                yield f"leaves the focus out of sight on {focused['html']}"
        # Scripts may have drawn some anew meanwhile, as others.
        there = {str(stop) for stop in page.evaluate(_STILL_THERE)} - reached.keys()
        missed = [html for stop, html in expected.items() if str(stop) in there]
        if missed and went_through:
            yield f"has {len(missed)} of {len(expected)} stops that Tab does not reach: {missed[:3]}"
