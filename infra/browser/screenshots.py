"""`make screenshots`: every page, light and dark, wide and narrow, on servers that are gone afterwards.

Pages are found by their links, with the committed small atlas in the database. All pictures go into a folder
beside a contact sheet of them; a few go into the documentation.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Request
from playwright.sync_api import Page as BrowserPage

import imago
from infra.browser import chromium
from infra.browser.chromium import Look, looking
from infra.browser.furnishing import NETWORK, furnish, furnish_answers
from infra.browser.walk import Page, walk
from infra.local.processes.supervision import interruptible
from infra.local.stack import Stack

_CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTED = _CHECKOUT / "docs" / "images" / "pages"
LOOKS = [
    Look(theme, width, height) for width, height in ((1360, 900), (390, 844)) for theme in ("light", "dark")
]
_NETWORK = f"/networks/{NETWORK}"
BEST = {
    "network": (_NETWORK, "dark-1360"),
    "layer": (f"{_NETWORK}/layers/blocks.4.2", "light-1360"),
    "unit": (f"{_NETWORK}/layers/classifier/units/980", "dark-1360"),
    "search": ("/search?q=volcano", "light-1360"),
    "phone": (f"{_NETWORK}/layers/classifier/units/980", "light-390"),
}
"""The pages that the documentation shows, and how. The map of an atlas joins them where there is one."""
_MAP = "atlases/*/versions/*/map"
_PATIENCE_SECONDS = 600.0
_HIGHEST = 3000
_MOST_BYTES = 100_000
_TILE, _GAP, _WORDS = 320, 16, 20

_QUIET_MS, _PATIENCE_MS = 500, 15_000
"""How long nothing must be asked for until a page is taken to be whole, and when it is taken as it is."""

_SCROLLED_THROUGH = """async (height) => {
  for (let top = 0; top < Math.min(document.body.scrollHeight, height); top += innerHeight) {
    scrollTo(0, top);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  scrollTo(0, 0);
}"""
_DECODED = """async (height) => {
  const shown = [...document.images].filter((image) => image.getBoundingClientRect().top < height);
  const decoded = Promise.all(shown.map((image) => image.decode().catch(() => {})));
  await Promise.race([decoded, new Promise((resolve) => setTimeout(resolve, 10000))]);
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
}"""


def main(arguments: Sequence[str]) -> int:
    """Make them; 1 where there is no browser."""
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--into", type=Path, default=_CHECKOUT / ".imago" / "screenshots")
    parser.add_argument("--url", help="of an imago that runs; by default one of its own is started")
    parser.add_argument("--only", default="", help="parts of names of pages, such as map,sheet: these alone")
    parser.add_argument(
        "--documented", action="store_true", help="also write those of the documentation anew"
    )
    given = parser.parse_args(arguments)
    if chromium.executable() is None:
        print(chromium.MISSING, file=sys.stderr)
        return 1
    with interruptible():
        if given.url:
            _make(given.url, given.into, given.documented, given.only, {})
            return 0
        with tempfile.TemporaryDirectory(prefix="imago-screenshots-") as home:
            Path(home).chmod(0o711)  # PostgreSQL is another user under root
            print("Starting an imago of its own …", flush=True)
            with Stack(Path(home, "home")) as stack, imago.Client(stack.api_url, stack.key) as client:
                atlas = client.atlases.get(furnish(client, _PATIENCE_SECONDS))
                answers = furnish_answers(client, atlas.id, _PATIENCE_SECONDS)
                for drawn in (atlas.poster(), atlas.map()):
                    drawn.wait(_PATIENCE_SECONDS)
                _make(stack.api_url, given.into, given.documented, given.only, answers)
    return 0


def _make(url: str, into: Path, documented: bool, only: str, answers: Mapping[str, str]) -> None:
    url = url.rstrip("/")
    pages = walk(url, answers).pages
    with chromium.running() as browser:
        if documented:
            _document(browser, url, pages)
            return
        into.mkdir(parents=True, exist_ok=True)
        rows = []
        for name, page in _named(pages):
            if not any(part in name for part in only.split(",")):
                continue
            print(f"{name:<40} {page.path}", flush=True)
            rows.append(
                [_shot(browser, url + page.path, look, into / f"{name}-{look}.png") for look in LOOKS]
            )
    contact_sheet(rows).save(into / "contact.webp", quality=80)
    print(f"{sum(map(len, rows))} pictures and contact.webp of them are in {into}")


def _named(pages: Sequence[Page]) -> Iterator[tuple[str, Page]]:
    """Each page with a name for its files."""
    taken: set[str] = set()
    for page in pages:
        kind = page.kind.replace("/", "-").replace("*", "_") or "home"
        name, number = kind, 2
        while name in taken:
            name, number = f"{kind}-{number}", number + 1
        taken.add(name)
        yield name, page


def _shot(browser: Browser, address: str, look: Look, file: Path, highest: int = _HIGHEST) -> Path:
    """One page, in one look, from its top to its end or so far."""
    with looking(browser, look) as context:
        shown = context.new_page()
        requests = _Requests(shown)
        shown.goto(address, wait_until="load")
        # What hangs on the height of the window, and pictures that come when they come into sight, change the
        # height of the page in turn, which settles soon.
        height = 0
        for _ in range(4):
            before = height
            height = max(look.height, int(shown.evaluate("document.documentElement.scrollHeight")))
            height = min(max(look.height, highest), height)
            if height == before:
                break
            shown.set_viewport_size({"width": look.width, "height": height})
            shown.evaluate(_SCROLLED_THROUGH, highest)
            requests.wait_until_none()
        shown.evaluate(_DECODED, highest)
        shown.screenshot(path=file)
    return file


class _Requests:
    """What a page asks for: pictures, also those that scripts draw, and data for them. Streams of events do
    not count, since they never end."""

    def __init__(self, page: BrowserPage) -> None:
        self._page = page
        self._pending: set[Request] = set()
        self._changed = time.monotonic()
        page.on("request", self._begins)
        page.on("requestfinished", self._ends)
        page.on("requestfailed", self._ends)

    def wait_until_none(self) -> None:
        """Until nothing is under way, and nothing was for a while: scripts ask some time after a change."""
        self._changed = began = time.monotonic()
        while time.monotonic() - began < _PATIENCE_MS / 1000:
            self._page.wait_for_timeout(50)  # lets the events above come
            if not self._pending and time.monotonic() - self._changed > _QUIET_MS / 1000:
                return

    def _begins(self, request: Request) -> None:
        if request.resource_type != "eventsource":
            self._pending.add(request)
            self._changed = time.monotonic()

    def _ends(self, request: Request) -> None:
        if request in self._pending:
            self._pending.remove(request)
            self._changed = time.monotonic()


def contact_sheet(rows: Sequence[Sequence[Path]]) -> Image.Image:
    """All pictures, a page a row, each with its name: reduced to one width, and to a square of its top."""
    width = _GAP + (_TILE + _GAP) * max(map(len, rows), default=0)
    height = _GAP + (_TILE + _WORDS + _GAP) * len(rows)
    sheet = Image.new("RGB", (width, height), "#808080")
    drawn = ImageDraw.Draw(sheet)
    for row, files in enumerate(rows):
        for column, file in enumerate(files):
            left, top = _GAP + column * (_TILE + _GAP), _GAP + row * (_TILE + _WORDS + _GAP)
            drawn.text((left, top), file.stem, fill="white")
            with Image.open(file) as picture:
                side = min(picture.width, picture.height)
                cut = picture.convert("RGB").crop((0, 0, picture.width, side))
                cut.thumbnail((_TILE, _TILE))
                sheet.paste(cut, (left, top + _WORDS))
    return sheet


def _document(browser: Browser, url: str, pages: Sequence[Page]) -> None:
    """The first screens of the best pages, as WebP light enough for a README."""
    DOCUMENTED.mkdir(parents=True, exist_ok=True)
    maps = [page.path for page in pages if page.kind == _MAP]
    best = BEST | ({"map": (maps[0], "dark-1360")} if maps else {})
    for name, (path, seen) in best.items():
        look = next(look for look in LOOKS if str(look) == seen)
        file = DOCUMENTED / f"{name}.webp"
        with tempfile.NamedTemporaryFile(suffix=".png") as draft:
            _shot(browser, url + path, look, Path(draft.name), look.height)
            with Image.open(draft.name) as picture:
                _save_light(picture.convert("RGB"), file)
        print(f"{file.relative_to(_CHECKOUT)}: {file.stat().st_size} bytes", flush=True)


def _save_light(picture: Image.Image, file: Path) -> None:
    for quality in range(90, 20, -10):
        picture.save(file, quality=quality, method=6)
        if file.stat().st_size <= _MOST_BYTES:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
