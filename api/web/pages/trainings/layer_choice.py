"""The layers of an encoder that one can choose from, in the form for trainings."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from imago_engine.trainings import DEFAULT_CODE, DEFAULT_ENCODER, EncoderRequest
from services.catalog.layer_selection import ALL, LayerWords
from services.catalog.layers import Layer

_MOST = 500
"""Of the others, the last of which are what codes are made of."""
_USUAL: str = EncoderRequest.model_fields["layer"].default


@dataclass(frozen=True)
class LayerChoice:
    """`main` are those that people speak of (stem, blocks, head, output), `others` what lies within and
    beside them. `usual`: what one gets without choosing, None where one has to choose."""

    main: Sequence[Layer]
    others: Sequence[Layer]
    usual: str | None
    chosen: str

    @property
    def is_unknown(self) -> bool:
        """Whether what was chosen is none of these."""
        return bool(self.chosen) and all(layer.name != self.chosen for layer in (*self.main, *self.others))


def of(session: Session, network: str, chosen: str, is_sent: bool) -> LayerChoice:
    """The layers of a network that is ready. `chosen` is what the form had; where it was not sent yet, that
    may be a layer of the network that was chosen before."""
    known = LayerWords(session, network)
    # Also those that have the units of another one once more: as codes they differ.
    found = known.find(ALL).layers if known.any() else ()
    names = {layer.name for layer in found}
    usual = None
    if network == DEFAULT_ENCODER:
        usual = "{layer}, {grid} × {grid} places".format(**DEFAULT_CODE)
    elif _USUAL in names:
        usual = _USUAL
    if not is_sent and chosen not in names:
        pools = [layer.name for layer in found if layer.kind == "pool"]
        chosen = pools[-1] if usual is None and pools else ""
    main = [layer for layer in found if layer.role is not None or layer.kind == "output"]
    others = [layer for layer in found if layer not in main]
    return LayerChoice(main, others[-_MOST:], usual, chosen)
