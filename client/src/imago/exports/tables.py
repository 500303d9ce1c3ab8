"""The table of an exported atlas for dataset libraries: metadata.parquet, or metadata.jsonl.

A row is a picture that there is; what has none is in units.jsonl only, since a row without a file name keeps
Hugging Face's `imagefolder` from reading the folder at all.
"""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imago.errors import ImagoError
from imago.exports import places as on_map
from imago.exports.layout import JSONL, PARQUET, encoded
from imago.exports.places import Places
from imago.records import Raw

if TYPE_CHECKING:
    import pyarrow

_ROWS_AT_ONCE = 2_000
_TEXT = ("network", "layer")
_TEXT_AFTER = ("label", "digest", "state", "technique", "recipe", "generator", "engine", "sha256")
_WHOLE = ("unit", "facet", "seed", "token", "width", "height", "bytes")
_REAL = ("activation", "score")
COLUMNS = ("file_name", *_TEXT, *_WHOLE[:2], *_TEXT_AFTER, *_WHOLE[2:], *_REAL, "crop_box", "predictions")


def kind_of_table(asked: str | None) -> str:
    """The file's name: as asked for, else Parquet where pyarrow is installed. Raises ImagoError where it is
    asked for and not installed.
    """
    if asked == "jsonl":
        return JSONL
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        if asked is None:
            return JSONL
        raise ImagoError("pyarrow is not installed: pip install 'imago[parquet]'.") from error
    return PARQUET


def write_table(units: Path, to: Path, kind: str, places: Places | None = None) -> None:
    """Make the table of the lines of units.jsonl, some rows at a time, with the columns of `places` if there
    are any. Raises OSError."""
    rows = _rows(units, places)
    if kind == JSONL:
        with to.open("wb") as file:
            file.writelines(encoded(row) for row in rows)
        return
    import pyarrow as pa
    from pyarrow import parquet

    schema = _schema(pa, with_places=places is not None)
    with parquet.ParquetWriter(to, schema, compression="zstd") as writer:
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(some, schema=schema))


def _rows(units: Path, places: Places | None) -> Iterator[dict[str, Any]]:
    with units.open("rb") as file:
        for text in file:
            line: Raw = json.loads(text)
            if line["file_name"] is not None:
                row = {name: line[name] for name in COLUMNS}
                yield row if places is None else row | places.of(line)


def _schema(pa: Any, *, with_places: bool) -> "pyarrow.Schema":
    prediction = pa.struct({"index": pa.int64(), "label": pa.string(), "probability": pa.float64()})
    kinds = {
        "file_name": pa.string(),
        **dict.fromkeys((*_TEXT, *_TEXT_AFTER), pa.string()),
        **dict.fromkeys(_WHOLE, pa.int64()),
        **dict.fromkeys(_REAL, pa.float64()),
        "crop_box": pa.list_(pa.int64()),
        "predictions": pa.list_(prediction),
    }
    shown = [(name, kinds[name]) for name in COLUMNS]
    if with_places:
        shown += [(name, pa.float64()) for name in on_map.COLUMNS]
    return pa.schema(shown)
