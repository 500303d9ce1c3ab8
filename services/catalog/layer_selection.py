"""Which layers of a network are meant by words: `blocks`, `convolutions`, `all`, names and patterns of names.

| words | layers |
|---|---|
| `blocks` | those that have a role: stem, the output of every block, head, output |
| `convolutions` | all convolutions |
| `all` | all layers, twins too |
| `layer4.1.conv2`, `output` | that one |
| `blocks.2.*` | those whose names match: `*` is any characters, dots too, `?` one, `[0-3]` one of these |

A pattern leaves out twins, unless it matches nothing else. Commas join them. However often a layer is meant,
it is there once; all are in the order of execution.

Where a network has a layer of a word's own name, that one is meant, unless it is a twin (EfficientNet-lite0
calls the sequence of its blocks `blocks`). With a dot before it, `.blocks`, it is the layer in any case.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.base.errors import Invalid, NotFound
from services.base.paging import Key, Keyset, Page
from services.base.suggestions import nearest
from services.catalog.layers import Layer, get_layer, view_of
from services.catalog.networks import get_network
from services.catalog.tables import LayerRow

BLOCKS, CONVOLUTIONS, ALL = "blocks", "convolutions", "all"
_WORDS: dict[str, Callable[[Layer], bool]] = {
    BLOCKS: lambda layer: layer.role is not None or layer.kind == "output",
    CONVOLUTIONS: lambda layer: layer.kind == "conv" and layer.twin_of is None,
    ALL: lambda layer: True,
}
LONGEST = 4000
"""Characters of such words at most."""
_MOST_PATTERNS = 64
"""That differ, in all words of one request: each is compared with the names of all layers."""
_LONGEST_PATTERN = 255
"""Characters of a pattern at most: the time that reading one takes can grow with their square."""
_SIGNS = ",*?["
"""What names of layers hardly ever have, and words for several layers may."""


class NoSuchLayers(ValueError):
    """Words that mean no layer of the network; the message says which, and what there is."""


@dataclass(frozen=True)
class Selection:
    """The layers meant, each once, in the order of execution; at least one."""

    layers: Sequence[Layer]
    is_name: bool
    """Whether the words are the name of one layer and nothing else."""


class LayerWords:
    """Finds the layers of one network by the words of one request. Its layers are read once."""

    def __init__(self, session: Session, network: str) -> None:
        self._session, self._network = session, network
        self._known: dict[str, Layer] | None = None
        self._patterns: set[str] = set()

    def find(self, words: str | Sequence[str]) -> Selection:
        """The layers that words mean, or any of several. Raises `NoSuchLayers`."""
        several = [words] if isinstance(words, str) else words
        if len(several) == 1 and _may_be_name(several[0]):
            return Selection([self._of_name(several[0])], is_name=True)
        parts = [part for each in several for part in self._parts(each)]
        unlike = dict.fromkeys(parts)
        self._count_patterns(unlike)
        found = {layer.name: layer for part in unlike for layer in self._meant(part)}
        is_name = len(parts) == 1 and self._named(parts[0]) is not None
        return Selection(_in_order(found), is_name)

    def _parts(self, words: str) -> Sequence[str]:
        """What commas join; the words as they are where they may be a name, or are one."""
        if _may_be_name(words) or words in self._layers:
            return [words]
        return [part.strip() for part in words.split(",")]

    def _count_patterns(self, parts: Iterable[str]) -> None:
        self._patterns.update(part for part in parts if _is_pattern(part) and self._named(part) is None)
        if len(self._patterns) > _MOST_PATTERNS:
            raise NoSuchLayers(
                f"asks for more than {_MOST_PATTERNS} patterns in all; expected fewer, which match more"
            )

    def any(self) -> bool:
        """Whether the network has layers at all."""
        return bool(self._layers)

    @property
    def _layers(self) -> dict[str, Layer]:
        if self._known is None:
            query = sa.select(LayerRow).where(LayerRow.network_id == self._network, LayerRow.is_current)
            rows = self._session.scalars(query.order_by(LayerRow.ordinal))
            self._known = {row.name: view_of(row) for row in rows}
        return self._known

    def _meant(self, part: str) -> Sequence[Layer]:
        named = self._named(part)
        if named is not None:
            return [named]
        if part in _WORDS:
            found = [layer for layer in self._layers.values() if _WORDS[part](layer)]
            if not found:
                raise NoSuchLayers(f"{part!r} means no layer: {self._network} has none of these")
            return found
        if _is_pattern(part):
            return self._matching(part)
        if not part:
            raise NoSuchLayers("has nothing beside a comma; expected names, patterns or words")
        return [self._of_name(part)]

    def _named(self, part: str) -> Layer | None:
        """The layer of that very name, unless the name is a word and the layer a twin."""
        layer = self._layers.get(part)
        if layer is not None:
            return None if part in _WORDS and layer.twin_of is not None else layer
        return self._layers.get(part[1:]) if part[:1] == "." and part[1:] in _WORDS else None

    def _of_name(self, name: str) -> Layer:
        try:
            return get_layer(self._session, self._network, name)
        except NotFound as error:
            message = str(error)
            raise NoSuchLayers(
                f"{message[0].lower()}{message[1:]} Several layers are meant by {', '.join(_WORDS)}, or by a "
                "pattern with `*`."
            ) from None

    def _matching(self, pattern: str) -> Sequence[Layer]:
        if len(pattern) > _LONGEST_PATTERN:
            raise NoSuchLayers(
                f"has a pattern of {len(pattern)} characters; expected at most {_LONGEST_PATTERN}"
            )
        matches = re.compile(translate(pattern)).match
        found = [layer for layer in self._layers.values() if matches(layer.name)]
        if not found:
            near = ", ".join(nearest(pattern.strip("*?."), list(self._layers)))
            raise NoSuchLayers(
                f"{pattern!r} matches no layer of {self._network}; `*` stands for any characters, dots too. "
                f"It has: {near}, …."
            )
        return [layer for layer in found if layer.twin_of is None] or found


def list_layers(
    session: Session, network: str, words: str = ALL, *, cursor: str | None = None, limit: int = 200
) -> Page[Layer]:
    """The layers that words mean, in execution order; none of a network that is not inspected yet.

    Raises `NotFound`, or `Invalid` for words that mean none, and for a wrong cursor or limit.
    """
    get_network(session, network)
    known = LayerWords(session, network)
    try:
        found = known.find(words).layers if known.any() else ()
    except NoSuchLayers as error:
        raise Invalid.field("/layers", str(error)) from None

    def read(after: Key | None, most: int) -> Sequence[Layer]:
        first = -1 if after is None else int(after[0])
        return [layer for layer in found if layer.ordinal > first][:most]

    return Keyset("layers", (int,)).page(cursor, limit, read, lambda layer: [layer.ordinal])


def list_known(
    session: Session, network: str, names: Collection[str], *, cursor: str | None = None, limit: int = 200
) -> Page[Layer]:
    """The layers of these names in execution order, also those that the network has no more or that no
    inspection has found: whoever shows an atlas names them. Raises `Invalid` for a wrong cursor or limit.
    """
    row, place = LayerRow, (LayerRow.ordinal, LayerRow.name)
    query = sa.select(row).where(row.network_id == network, row.name.in_(names)).order_by(*place)

    def read(after: Key | None, most: int) -> Sequence[Layer]:
        following = query if after is None else query.where(sa.tuple_(*place) > sa.tuple_(*after))
        return [view_of(each) for each in session.scalars(following.limit(most))]

    return Keyset("known-layers", (int, str)).page(
        cursor, limit, read, lambda layer: [layer.ordinal, layer.name]
    )


def _in_order(layers: Mapping[str, Layer]) -> Sequence[Layer]:
    return sorted(layers.values(), key=lambda layer: layer.ordinal)


def by_name(name: str) -> str:
    """Words that mean the layer of that name, also where the name is a word itself."""
    return f".{name}" if name in _WORDS else name


def _may_be_name(words: str) -> bool:
    """Whether these words are a layer's name if they mean anything."""
    return words not in _WORDS and set(words).isdisjoint(_SIGNS) and not words.startswith(".")


def _is_pattern(part: str) -> bool:
    return not set(part).isdisjoint("*?[")
