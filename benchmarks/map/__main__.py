"""How a map of 100,000 units is moved about in, in Chromium: `make bench-map`.

The API runs as `make up` starts it, on servers of its own, with an atlas whose units share a few pictures
and lie in random places around some centres. Chromium opens the page of the map and moves about in it with a
mouse: drags all of it, zooms in and out, drags it from near, where thumbnails are shown, and selects areas.
Measured are the time until the first points are drawn, how long frames took, the longest script, and the heap
of scripts after a collection.
"""

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page

from benchmarks import outcome
from benchmarks.grid import frames
from benchmarks.map.scene import stage
from benchmarks.reads_scene import running_servers, served
from infra.browser.chromium import Look, looking, running
from infra.local.processes.supervision import interruptible

LOOK = Look("light", 1360, 900)
_TURN_SECONDS, _REACH = 2.0, 180
"""How long a circle of the mouse takes, and its radius in pixels."""
_NEAR = 12
"""Turns of the wheel until thumbnails are shown."""
_A_MOVE_SECONDS = 1 / 60
_WHEN_DRAWN = """
  const drawn = () => requestAnimationFrame(() => setTimeout(() => (window.firstPoints = performance.now())));
  addEventListener("DOMContentLoaded", () => {
    const tools = document.querySelector(".map-tools");
    if (tools && !tools.hidden) return drawn();
    const watch = (_, observer) => (observer.disconnect(), drawn());
    if (tools) new MutationObserver(watch).observe(tools, { attributes: true });
  });
"""
_RECORD = """() => {
  window.taken = [];
  window.isRecording = true;
  let last = null;
  const step = (now) => {
    if (last !== null) taken.push(now - last);
    last = now;
    if (isRecording) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10, help="of each movement (%(default)s)")
    given = parser.parse_args()
    with interruptible(), tempfile.TemporaryDirectory(prefix="imago-bench-") as folder:
        Path(folder).chmod(0o711)
        with running_servers(Path(folder, "servers")) as (endpoints, _), served(endpoints) as url:
            path = stage(endpoints, url, given.units)
            moved = _moved(url + path, given.seconds)
    outcome.write(
        "map",
        {"units": given.units, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), **moved},
    )
    return 0


def _moved(url: str, seconds: float) -> dict[str, Any]:
    with running() as browser, looking(browser, LOOK) as context:
        context.add_init_script(_WHEN_DRAWN)
        opened = [_opened(context.new_page(), url) for _ in range(2)]  # without a cache, and with one
        page = context.pages[-1]
        devtools = frames.watched(context, page)
        before = frames.heap(devtools)
        middle = _middle(page)
        movements: dict[str, Callable[[], object]] = {
            "panning": lambda: _drag(page, middle, seconds),
            "zooming": lambda: _zoom(page, middle, seconds),
            "panning_near": lambda: _drag(page, middle, seconds),
            "selecting": lambda: _select(page, middle, seconds / 2),
        }
        measured = {}
        for name, move in movements.items():
            if name == "panning_near":
                _come_near(page, middle)
            measured[name] = _measured(page, devtools, move)
            page.wait_for_timeout(500)
        return {
            "first_points_ms": {"first": opened[0], "again": opened[1]},
            "movements": measured,
            "thumbnails_listed": page.locator(".map-side img").count(),
            "longest_script_ms": frames.longest_script(page),
            "heap_mb": {"before": before, "after": frames.heap(devtools)},
        }


def _opened(page: Page, url: str) -> int:
    """Milliseconds from the request for the page until its points are drawn."""
    page.goto(url, wait_until="load")
    while (drawn := page.evaluate("window.firstPoints ?? null")) is None:
        page.wait_for_timeout(50)
    page.wait_for_timeout(1000)
    return round(float(drawn))


def _measured(page: Page, devtools: CDPSession, move: Callable[[], object]) -> dict[str, float]:
    before = frames.metrics(devtools)
    page.evaluate(_RECORD)
    move()
    taken = page.evaluate("() => ((window.isRecording = false), taken)")
    return frames.told(taken, before, frames.metrics(devtools))


def _middle(page: Page) -> tuple[float, float]:
    box = page.locator(".map-canvas").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def _drag(page: Page, middle: tuple[float, float], seconds: float) -> None:
    """In circles, so that one stays where one is."""
    x, y = middle
    page.mouse.move(x + _REACH, y)
    page.mouse.down()
    for at in _times(seconds):
        angle = 2 * math.pi * at / _TURN_SECONDS
        page.mouse.move(x + _REACH * math.cos(angle), y + _REACH * math.sin(angle))
    page.mouse.move(x + _REACH, y)
    page.mouse.up()


def _zoom(page: Page, middle: tuple[float, float], seconds: float) -> None:
    """In and out again."""
    page.mouse.move(*middle)
    for at in _times(seconds):
        page.mouse.wheel(0, -120 if at % _TURN_SECONDS < _TURN_SECONDS / 2 else 120)


def _come_near(page: Page, middle: tuple[float, float]) -> None:
    page.get_by_role("button", name="Whole map").click()
    page.mouse.move(*middle)
    for _ in range(_NEAR):
        page.mouse.wheel(0, -120)
    page.wait_for_timeout(1500)


def _select(page: Page, middle: tuple[float, float], seconds: float) -> None:
    """Areas of all of the map, one after the other."""
    page.get_by_role("button", name="Whole map").click()
    for at in _times(seconds):
        size = 40 + 20 * (at % _TURN_SECONDS)
        page.keyboard.down("Shift")
        page.mouse.move(middle[0] - size, middle[1] - size)
        page.mouse.down()
        page.mouse.move(middle[0] + size, middle[1] + size)
        page.mouse.up()
        page.keyboard.up("Shift")


def _times(seconds: float) -> Iterator[float]:
    """Seconds since it began, as often as a screen is drawn anew, until they are over."""
    began = following = time.perf_counter()
    while (at := time.perf_counter() - began) < seconds:
        yield at
        following += _A_MOVE_SECONDS
        time.sleep(max(0.0, following - time.perf_counter()))


if __name__ == "__main__":
    raise SystemExit(main())
