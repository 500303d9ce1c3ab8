"""How a layer of 100,000 units scrolls in Chromium, and what its orders cost: `make bench-grid`.

The API runs as `make up` starts it, on servers of its own, with a layer whose units share a few pictures.
Chromium scrolls through all of the layer at three speeds: how long frames took, the longest script, how many
cells were in the document, the heap of scripts after a collection. And each order is asked for once anew and
once again.
"""

import argparse
import os
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page

from benchmarks import outcome
from benchmarks.grid import frames
from benchmarks.grid.scene import ATLAS, LAYER, NETWORK, stage
from benchmarks.reads_scene import running_servers, served
from infra.browser.chromium import Look, looking, running
from infra.local.processes.supervision import interruptible

LOOK = Look("light", 1360, 900)
ORDERS = ("by=activation", "by=label", "label=class+number+7&by=activation", "state=unreachable")
_SCROLL = """async ([pixels, seconds]) => {
  const frames = [];
  let cells = 0;
  let last = null;
  const began = performance.now();
  await new Promise((resolve) => {
    const step = (now) => {
      if (last !== null) frames.push(now - last);
      last = now;
      cells = Math.max(cells, document.querySelectorAll("[role=gridcell]").length);
      scrollBy(0, pixels);
      const isDown = scrollY + innerHeight >= document.documentElement.scrollHeight - 1;
      if (isDown || now - began > 1000 * seconds) resolve();
      else requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
  return { frames, cells, reached: scrollY / (document.documentElement.scrollHeight - innerHeight) };
}"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=15, help="of each speed at most (%(default)s)")
    given = parser.parse_args()
    with interruptible(), tempfile.TemporaryDirectory(prefix="imago-bench-") as folder:
        Path(folder).chmod(0o711)
        with running_servers(Path(folder, "servers")) as (endpoints, _), served(endpoints) as url:
            stage(endpoints, url, given.units)
            orders = {order: _order(url, order) for order in ORDERS}
            scrolled = _scrolled(url, given.seconds)
    outcome.write(
        "grid",
        {
            "units": given.units,
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "orders_ms": orders,
            **scrolled,
        },
    )
    return 0


def _order(url: str, query: str) -> dict[str, float]:
    """Milliseconds of the first request, and of the median of five that follow."""
    address = f"{url}/v1/networks/{NETWORK}/layers/{LAYER}/grid/order?atlas={ATLAS}&{query}"
    took = []
    for _ in range(6):
        began = time.perf_counter()
        with urllib.request.urlopen(address, timeout=60) as answer:
            answer.read()
        took.append(1000 * (time.perf_counter() - began))
    return {"first": round(took[0]), "again": round(statistics.median(took[1:]), 1)}


def _scrolled(url: str, seconds: float) -> dict[str, Any]:
    with running() as browser, looking(browser, LOOK) as context:
        with looking(browser, LOOK) as other:  # people's browsers run already, and have nothing of this page
            other.new_page().goto(f"{url}/design", wait_until="load")
        page = context.new_page()
        began = time.perf_counter()
        page.goto(f"{url}/networks/{NETWORK}/layers/{LAYER}?order=activation", wait_until="load")
        page.wait_for_selector("[role=grid] img")
        loaded = time.perf_counter() - began
        devtools = frames.watched(context, page)
        before = frames.heap(devtools)
        height = page.evaluate("document.documentElement.scrollHeight")
        speeds = {
            "reading": 12,
            "looking": 150,
            "through": max(1, int(height / (60 * seconds * 0.8))),
        }
        measured = {name: _speed(page, devtools, pixels, seconds) for name, pixels in speeds.items()}
        page.wait_for_timeout(1000)
        return {
            "page_ms": round(1000 * loaded),
            "height_px": height,
            "speeds": measured,
            "longest_script_ms": frames.longest_script(page),
            "heap_mb": {"before": before, "after": frames.heap(devtools)},
        }


def _speed(page: Page, devtools: CDPSession, pixels: int, seconds: float) -> dict[str, float]:
    """Scroll from the top at so many pixels a frame."""
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    before = frames.metrics(devtools)
    found = page.evaluate(_SCROLL, [pixels, seconds])
    return {
        "pixels_a_frame": pixels,
        **frames.told(found["frames"], before, frames.metrics(devtools)),
        "cells": found["cells"],
        "reached": round(found["reached"], 3),
    }


if __name__ == "__main__":
    raise SystemExit(main())
