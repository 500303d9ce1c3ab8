"""Parts of an export: some entries, as the lines that are written of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from services.base.object_keys import export_key
from services.exports import lines
from services.exports.tar import bytes_of
from services.exports.version_entries import Entry

AT_ONCE = 200
"""Entries of a part: their lines, of which each download may hold those of one part, take 300 KiB."""


@dataclass(frozen=True)
class Text:
    """Some lines of one of the files, under the key that the store has them by."""

    key: str
    content: bytes

    @classmethod
    def of(cls, content: bytes, suffix: Literal["jsonl", "json", "sums"]) -> "Text":
        """Bytes that are to be stored."""
        return cls(export_key(content, suffix), content)


class LayerLines(NamedTuple):
    """The lines of a layer within a part: the bytes before the first of them, how many there are, and how
    many of them have a picture."""

    layer: str
    before: int
    lines: int
    pictures: int


@dataclass(frozen=True)
class Part:
    """See `AtlasExportPartRow`. `last` is the entry that it ends with."""

    last: Entry
    units: Text
    table: Text | None
    sums: Text | None
    pictures_bytes: int
    layers: Sequence[LayerLines]
    recipes: Sequence[str]
    generators: Sequence[str]

    @property
    def texts(self) -> Iterator[Text]:
        """All that is to be stored."""
        return (text for text in (self.units, self.table, self.sums) if text is not None)


def write(
    entries: Sequence[Entry], class_labels: Sequence[str], place_of: lines.PlaceOf | None = None
) -> Part:
    """The part of these entries, of which there is one at least. place_of: where the version has a map."""
    units, table, sums = bytearray(), bytearray(), bytearray()
    layers: dict[str, LayerLines] = {}
    recipes: dict[str, None] = {}
    generators: dict[str, None] = {}
    pictures = 0
    for entry in entries:
        line = lines.line_of(entry, class_labels)
        name, before, count, files = layers.get(line["layer"], (line["layer"], len(units), 0, 0))
        layers[name] = LayerLines(name, before, count + 1, files + (line["file_name"] is not None))
        recipes[line["recipe"]] = None
        if line["generator"]:
            generators[line["generator"]] = None
        units += lines.encoded(line)
        if line["file_name"]:
            table += lines.encoded(lines.row_of(line, place_of))
            sums += sum_of(line["file_name"], line)
            pictures += bytes_of(line["file_name"], line["bytes"])
    return Part(
        entries[-1],
        Text.of(bytes(units), "jsonl"),
        Text.of(bytes(table), "jsonl") if table else None,
        Text.of(bytes(sums), "sums") if sums else None,
        pictures,
        [*layers.values()],
        [*recipes],
        [*generators],
    )


def sum_of(name: str, described: Mapping[str, Any]) -> bytes:
    """The line of SHA256SUMS of a file."""
    return f"{described['sha256']}  {name}\n".encode()
