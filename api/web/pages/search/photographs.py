"""What a photograph excites, asked from a page: a form with the photograph, one question for each layer, and
the answers once a worker has looked."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from flask import request
from sqlalchemy.orm import Session

from api.auth import may_submit, reader
from api.context import context
from api.http.waiting import wait_for
from api.web import shown as shown_of
from api.web.addresses import ServerAddresses
from services.base.errors import Conflict, Invalid, NotFound
from services.base.states import Lane
from services.catalog.layer_selection import BLOCKS, list_layers
from services.pictures.visualizations import best_digests
from services.search import excitations
from services.search.excitations import Excitation

FEW = 4
"""Layers that are asked where nobody has chosen one: from early to late."""
WAIT_SECONDS = 8.0
SHOWN = 12
_MOST = 16
"""Questions that one page shows."""


@dataclass(frozen=True)
class Answered:
    """What the photograph excites in a layer: units with their responses, the strongest first, and units by
    the likeness of their pictures. `pictures` are the best ones by unit."""

    asked: Excitation
    excited: Sequence[tuple[int, float]]
    alike: Sequence[tuple[int, float, str]]
    pictures: dict[int, str]

    @property
    def digests(self) -> Sequence[str]:
        """Of the pictures of both."""
        return [*self.pictures.values(), *(digest for _, _, digest in self.alike)]


def ask() -> list[str]:
    """Have workers look at the photograph of the form, and wait for them a while. Returns the ids of what was
    asked. Raises `Invalid` by field, or `Full` where too many wait."""
    sent = request.files.get("photograph")
    photograph = b""
    if sent is not None:
        with closing(sent.stream):  # large ones lie in a temporary file
            photograph = sent.read()
    if not photograph:
        raise Invalid.field("/photograph", "choose a photograph: a JPEG, PNG or WebP")
    network = request.form.get("network", "")
    with context().database.session() as session:
        chosen = request.form.get("layer") or ""
        try:
            layers = [chosen] if chosen else few_layers(session, network)
            asked = [excitations.ask(session, network, layer, photograph).id for layer in layers]
        except Conflict as error:
            raise Invalid.field("/network", str(error)) from None
        except NotFound as error:
            # The layers that the form lists are those of the network that it was shown with.
            raise Invalid.field("/layer" if error.kind == "layer" else "/network", str(error)) from None
    context().doorbell.ring(Lane.INTERACTIVE)
    wait_for(
        lambda: _read(asked),
        lambda seen: all(excitation.ended for excitation in seen),
        WAIT_SECONDS,
        context().waits,
        context().stopping,
    )
    return asked


def few_layers(session: Session, network: str) -> list[str]:
    """Some of the layers that its newest atlas has pictures of, or else of all: from early to late, with the
    last."""
    shown = shown_of.shown(session, network)
    names = [layer.name for layer in shown_of.rail(session, ServerAddresses(), network, shown)]
    if len(names) <= FEW:
        return names
    # The stem responds to colours and edges alone, which say little of a photograph.
    return [names[round(len(names) * (step + 1) / FEW) - 1] for step in range(FEW)]


def layers_of(session: Session, network: str) -> list[str]:
    """Layers to choose from."""
    try:
        return [layer.name for layer in list_layers(session, network, BLOCKS, limit=200).data]
    except Invalid:
        return []  # none of them is known as a block


def answers(session: Session, ids: Sequence[str]) -> list[Answered]:
    """What came of the questions, in their order. Raises `NotFound` for one that is too old."""
    return [_answered(session, excitations.get(session, id)) for id in ids[:_MOST]]


def is_allowed() -> bool:
    """Whether who asks may have a photograph looked at."""
    return may_submit(reader())


def _answered(session: Session, asked: Excitation) -> Answered:
    result = asked.result or {"excited": [], "alike": []}
    excited = [(found["unit"], found["activation"]) for found in result["excited"][:SHOWN]]
    alike = [(found["unit"], found["similarity"], found["digest"]) for found in result["alike"][:SHOWN]]
    pictures = best_digests(session, asked.network, asked.layer, [unit for unit, _ in excited])
    return Answered(asked, excited, alike, pictures)


def _read(ids: Sequence[str]) -> list[Excitation]:
    with context().database.session() as session:
        return [excitations.get(session, id) for id in ids]
