"""The pages of a running imago, found as a visitor finds them: by its links, from the entrance on."""

import re
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

_ALIKE, _OF_A_KIND = 1, 2
"""How many pages are visited that differ in names and numbers alone, and how many of one kind at all."""
_UNLINKED = ("/design",)
"""Pages to which no other leads, for those who make pages; they are visited all the same."""


@dataclass(frozen=True)
class Page:
    """A page. `kind`: as `kind_of` has it · `clicks`: how far it is from the entrance."""

    path: str
    kind: str
    clicks: int = 0


@dataclass
class Walk:
    """What a walk has found. `dead`: links that lead nowhere, each with the page it is on."""

    pages: list[Page] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)


class _Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href is not None:
            self.found.append(href)


def walk(url: str, answers: Mapping[str, str] | None = None) -> Walk:
    """Follow the links from `/`: every kind of page is visited, a few pages of each. `answers`: by their
    kinds, pages of what somebody has asked, to which no other leads."""
    walked = Walk()
    begun = [Page(path, kind_of(path)) for path in ("/", *_UNLINKED)]
    begun += [Page(path, kind) for kind, path in (answers or {}).items()]
    seen, of_a_kind, alike = {page.path for page in begun}, Counter[str](), Counter[tuple[str, ...]]()
    waiting = deque([(page, "where it begins") for page in begun])
    while waiting:
        page, linked_from = waiting.popleft()
        status, is_page, text = _fetch(url + page.path)
        if status != 200:
            walked.dead.append(f"{page.path} answers {status}; linked from {linked_from}")
        if status != 200 or not is_page:
            continue
        walked.pages.append(page)
        for path in _local(url, page.path, text):
            kind = kind_of(path)
            form = kind, *sorted(name for name, _ in parse_qsl(urlsplit(path).query))
            if path in seen or of_a_kind[kind] >= _OF_A_KIND or alike[form] >= _ALIKE:
                continue
            seen.add(path)
            of_a_kind[kind] += 1
            alike[form] += 1
            waiting.append((Page(path, kind, page.clicks + 1), page.path))
    return walked


def kind_of(path: str) -> str:
    """What an address shows, of whatever: `networks/*/layers/*` is a layer. Names stand behind what they
    are names of; a plain word in second place, as in `/atlases/new`, is a page of its own.
    """
    segments = urlsplit(path).path.removeprefix("/v1").strip("/").split("/")
    return "/".join(
        "*" if place % 2 and not (place == 1 and re.fullmatch("[a-z]+", segment)) else segment
        for place, segment in enumerate(segments)
    )


def _local(url: str, page: str, text: str) -> Iterator[str]:
    """The links of a page that lead to this server, without what points into a page."""
    for href in _Links(text).found:
        target = urlsplit(urljoin(url + page, href))
        if f"{target.scheme}://{target.netloc}" == url and not href.startswith("#"):
            yield target.path + (f"?{target.query}" if target.query else "")


def _fetch(url: str) -> tuple[int, bool, str]:
    """Its status, whether it is a page, and its text."""
    request = urllib.request.Request(url, headers={"Accept": "text/html,*/*;q=0.8"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            is_page = answer.headers.get_content_type() == "text/html"
            return answer.status, is_page, answer.read().decode() if is_page else ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, False, ""
