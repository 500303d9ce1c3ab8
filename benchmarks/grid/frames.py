"""What Chromium tells of a page that moves: how long frames and scripts took, the memory of its scripts."""

import statistics
from collections.abc import Sequence

from playwright.sync_api import BrowserContext, CDPSession, Page

_WATCH = """() => {
  window.scripts = [];
  new PerformanceObserver((list) => {
    for (const frame of list.getEntries()) for (const script of frame.scripts) scripts.push(script.duration);
  }).observe({ type: "long-animation-frame", buffered: true });
}"""


def watched(context: BrowserContext, page: Page) -> CDPSession:
    """Begin to note long scripts, also those that have run already; what the page is measured by."""
    page.evaluate(_WATCH)
    devtools = context.new_cdp_session(page)
    # In CPU time of the thread, which other processes do not lengthen.
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    return devtools


def longest_script(page: Page) -> float:
    """Milliseconds of the longest script of a frame that took more than 50; 0 where there was none."""
    return round(max(page.evaluate("scripts"), default=0.0), 1)


def told(frames: Sequence[float], before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Milliseconds of frames, and of what was computed for one on the average; `before` and `after` them
    are `metrics`."""
    spent = {
        f"{name}_a_frame": round(1000 * (after[metric] - before[metric]) / len(frames), 2)
        for name, metric in (("script_cpu_ms", "ScriptDuration"), ("all_cpu_ms", "TaskDuration"))
    }
    return {
        "frames": len(frames),
        "p50_ms": round(statistics.median(frames), 1),
        "p95_ms": round(statistics.quantiles(frames, n=20)[-1], 1),
        "longest_ms": round(max(frames), 1),
        **spent,
    }


def heap(devtools: CDPSession) -> float:
    """Megabytes of what scripts hold, after a collection."""
    devtools.send("HeapProfiler.collectGarbage")
    return round(metrics(devtools)["JSHeapUsedSize"] / 1e6, 1)


def metrics(devtools: CDPSession) -> dict[str, float]:
    """The counters of the page."""
    found = devtools.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in found}
