"""How tests read pages: as a browser asks for them, and what is on them."""

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class PageRead(HTMLParser):
    """The links, pictures and text of a page, each of whose tags must be closed."""

    VOID = frozenset({"meta", "link", "img", "br", "wbr", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.pieces: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def all(self, tag: str) -> Iterator[dict[str, str]]:
        """The attributes of all elements of a kind."""
        return (attributes for name, attributes in self.elements if name == tag)

    @property
    def text(self) -> str:
        """What is read on it, with single spaces."""
        return " ".join(" ".join(self.pieces).split())

    @property
    def links(self) -> list[str]:
        """Where its links lead."""
        return [attributes["href"] for attributes in self.all("a") if "href" in attributes]

    @property
    def addresses(self) -> list[str]:
        """All that it names: where links lead, pictures, styles, scripts and icons."""
        return [
            value
            for _, given in self.elements
            for name, value in given.items()
            if name in ("href", "src") and value
        ]

    @property
    def pictures(self) -> list[str]:
        """The addresses of its pictures."""
        return [attributes["src"] for attributes in self.all("img")]

    def copied(self, way: str) -> str:
        """What is to be copied for a tool."""
        found = re.search(rf'<pre[^>]*aria-label="{way}">(.*?)</pre>', self.html, re.DOTALL)
        assert found is not None
        return unescape(found[1])


def scripts_within(page: str) -> str:
    """What the scripts of a page say between their tags: nothing, they are files."""
    return "".join(re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL))
