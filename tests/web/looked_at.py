"""What can be wrong with a page that somebody looks at, found by a browser."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response

from infra.browser.chromium import Look, looking

MOST_BYTES = 150_000
"""Of a page's document, styles and scripts together."""
_WEIGHED = {"document", "stylesheet", "script"}
_OWN_SCHEMES = ("data:", "blob:")
_ALL = {"resultTypes": ["violations"]}
_COLOURS = {**_ALL, "runOnly": ["color-contrast"]}

_FACTS = """() => {
  const said = (list) => list.slice(0, 3).map((each) => each.outerHTML.slice(0, 120));
  const all = [...document.querySelectorAll("body, body *")];
  const lasts = (list) => list.split(",").some((part) => parseFloat(part) > 0);
  const moves = ({ transitionDuration, animationDuration, scrollBehavior }) =>
    lasts(transitionDuration) || lasts(animationDuration) || scrollBehavior === "smooth";
  return {
    heads: document.querySelectorAll("h1").length,
    title: document.title,
    described: !!document.querySelector('meta[name="description"]')?.content,
    width: document.scrollingElement.scrollWidth,
    wide: said(all.filter((each) => each.getBoundingClientRect().right > innerWidth + 1)),
    cut: said([...document.querySelectorAll("nav *")].filter((each) =>
      getComputedStyle(each).textOverflow === "ellipsis" && each.scrollWidth > each.clientWidth)),
    unsized: said([...document.querySelectorAll("img:not([width][height])")]),
    moving: said(all.filter((each) => moves(getComputedStyle(each)))),
  };
}"""

_SHIFT = """() => new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => resolve(sum), 0)));
})"""


def faults_of(
    browser: Browser, origin: str, path: str, look: Look, prepare: Callable[[Page], object] | None = None
) -> Iterator[str]:
    """Load a page afresh and name what is wrong with it; nothing where all is well. `prepare`: what is done
    in the same browser before, such as signing in."""
    with looking(browser, look) as context:
        if prepare is not None:
            prepare(context.new_page())
        page = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        answers: list[Response] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.on("response", lambda answer: answers.append(answer))
        answer = page.goto(origin + path, wait_until="load")
        if answer is None or not (answer.ok or origin.startswith("file:")):
            yield f"answers {answer and answer.status}"
            return
        yield from _of_what_it_loads(origin, asked, answers)
        yield from _of_its_layout(page, look)
        yield from (f"says in the console: {text}" for text in said)
        yield from _of_its_use(page, _ALL)


def faults_of_colours(browser: Browser, origin: str, path: str, look: Look) -> Iterator[str]:
    """Load a page afresh and name what is hard to read in the theme of this look."""
    with looking(browser, look) as context:
        page = context.new_page()
        page.goto(origin + path, wait_until="load")
        yield from _of_its_use(page, _COLOURS)


def _of_what_it_loads(origin: str, asked: list[str], answers: list[Response]) -> Iterator[str]:
    outside = [url for url in asked if not url.startswith((f"{origin}/", *_OWN_SCHEMES))]
    if outside:
        yield f"asks others: {outside}"
    bad = [(answer.status, answer.url) for answer in answers if answer.status >= 400]
    if bad:
        yield f"asks for what is not there: {bad}"
    weighed = {
        answer.url: len(answer.body())
        for answer in answers
        if answer.request.resource_type in _WEIGHED and answer.ok and origin.startswith("http")
    }
    if sum(weighed.values()) > MOST_BYTES:
        yield f"weighs {sum(weighed.values())} bytes: {weighed}"


def _of_its_layout(page: Page, look: Look) -> Iterator[str]:
    facts = page.evaluate(_FACTS)
    if facts["width"] > look.width:
        yield f"scrolls sideways: {facts['width']} of {look.width} px, for instance {facts['wide']}"
    if facts["heads"] != 1:
        yield f"has {facts['heads']} h1"
    if not facts["title"] or not facts["described"]:
        yield "has no title or no description"
    if facts["cut"]:
        yield f"cuts off where one could go: {facts['cut']}"
    if facts["unsized"]:
        yield f"has pictures without a size: {facts['unsized']}"
    if facts["moving"]:
        yield f"moves for people who want that nothing does: {facts['moving']}"
    shift = page.evaluate(_SHIFT)
    if shift > 0.02:
        yield f"shifts while it loads, by {shift:.3f}"


def _of_its_use(page: Page, options: dict[str, Any]) -> Iterator[str]:
    found: list[dict[str, Any]] = Axe().run(page, options=options).response["violations"]
    for violation in found:
        first = violation["nodes"][0]
        yield (
            f"axe: {violation['id']} at {len(violation['nodes'])} places, {json.dumps(first['target'])}: "
            f"{first['html'][:160]} {first['failureSummary']}"
        )
