"""Markdown as HTML, for model cards, which anyone may have written: no HTML of their own, no pictures, no
links but to the web, and nothing that the pages' content security policy would refuse."""

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

LONGEST = 200_000
"""Characters of a text that are shown."""
_WEB = ("https://", "http://")
_PERCENT = re.compile(r"(?<=\d) %")
_COMMENT = re.compile("<!--.*?-->", re.DOTALL)


class _Renderer(RendererHTML):
    def table_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        # Wide tables scroll by themselves.
        return '<div class="table" tabindex="0" role="group" aria-label="Table"><table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"


def _restrict(tokens: Sequence[Token]) -> None:
    for place, token in enumerate(tokens):
        # Columns are aligned by a style attribute, which the policy refuses.
        token.attrs.pop("style", None)
        if token.type == "th_open" and not tokens[place + 1].content:
            # A corner that heads nothing would be read out as a heading without words.
            token.tag = tokens[place + 2].tag = "td"
        if token.type in ("heading_open", "heading_close"):
            # The page has its own title, and one of them.
            token.tag = f"h{min(int(token.tag[1:]) + 1, 6)}"
        for child in token.children or ():
            # The sign stays beside its number where a line is broken.
            child.content = _PERCENT.sub("\u00a0%", child.content) if child.type == "text" else child.content
        if token.children:
            token.children = list(_without_local_links(token.children))


def _without_local_links(tokens: Sequence[Token]) -> Sequence[Token]:
    """Links into a checkout of the repository lead nowhere from here: their text stays."""
    kept, dropped = [], 0
    for token in tokens:
        if token.type == "link_open":
            if not str(token.attrs.get("href", "")).startswith(_WEB):
                dropped += 1
                continue
            token.attrs["rel"] = "nofollow noreferrer"
        if token.type == "link_close" and dropped:
            dropped -= 1
            continue
        kept.append(token)
    return kept


_READER = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table").disable("image")


def rendered(text: str) -> Markup:
    """The text as HTML that may be put on a page."""
    tokens = _READER.parse(_COMMENT.sub("", text[:LONGEST]))
    _restrict(tokens)
    return Markup(_READER.renderer.render(tokens, _READER.options, {}))
