"""A list of layers that shows itself as a table in a notebook."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import overload

from imago_engine.networks import LayerInfo

COLUMNS = ("layer", "kind", "units", "places", "sees", "role")


class LayerTable(Sequence[LayerInfo]):
    """Layers in the order in which they run; `table["blocks.3"]` is the one of that name."""

    def __init__(self, layers: Iterable[LayerInfo]) -> None:
        self._layers = tuple(layers)

    def __len__(self) -> int:
        return len(self._layers)

    @overload
    def __getitem__(self, key: int | str) -> LayerInfo: ...
    @overload
    def __getitem__(self, key: slice) -> "LayerTable": ...
    def __getitem__(self, key: int | str | slice) -> "LayerInfo | LayerTable":
        if isinstance(key, slice):
            return LayerTable(self._layers[key])
        if isinstance(key, str):
            found = {layer.name: layer for layer in self._layers}
            return found[key]
        return self._layers[key]

    def __repr__(self) -> str:
        rows = [COLUMNS, *map(_row, self._layers)]
        widths = [max(len(row[n]) for row in rows) for n in range(len(COLUMNS))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{column}</th>" for column in COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _row(layer)) + "</tr>"
            for layer in self._layers
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(layer: LayerInfo) -> tuple[str, ...]:
    places = "" if layer.spatial is None else "{}×{}".format(*layer.spatial)
    if layer.tokens is not None:
        places = f"{layer.tokens} tokens, {layer.usual_token} is read"
    sees = "all" if layer.receptive_field is None else f"{layer.receptive_field} pixels"
    role = layer.role or (f"twin of {layer.twin_of}" if layer.twin_of else "")
    return layer.name, layer.kind, str(layer.units), places, sees, role
