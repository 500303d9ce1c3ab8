"""Looks at networks, from which directions come: made once, kept, gone on with."""

import json
import sys
from collections.abc import Mapping
from copy import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from imago_engine import synthesize
from imago_engine.synthesis.computing import thread_groups
from imago_engine.synthesis.directions.kept_looks import looks_kept_by
from imago_engine.synthesis.directions.unit_directions import look_ahead, look_at_all
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.inspection.anatomy import anatomy
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.starts.prototype_pictures import prototype_pictures
from imago_engine.techniques.fourier import Fourier
from tests.unit.engine.synthesis.directions.directed import ALONG, Small, Wrap, directions_of, prior_of


def test_a_network_is_looked_at_once(wrap: Wrap, knowing: Generator) -> None:
    network, calls = wrap(Small()), []
    directions_of(network, knowing, "map")
    handle = network.module.register_forward_pre_hook(lambda module, inputs: calls.append(1))
    try:
        directions_of(network, knowing, "head")
        assert not calls
        directions_of(network, knowing, "head", ALONG.changed(direction_codes=128))
        assert calls, "with other codes directions are others"
    finally:
        handle.remove()


class Kept:
    """Looks kept in a dictionary."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Tensor]] = {}
        self.told: list[tuple[int, int]] = []

    def get(self, facts: Mapping[str, Any]) -> dict[str, Tensor] | None:
        return self.held.get(json.dumps(facts, sort_keys=True))

    def note(self, facts: Mapping[str, Any], seen: int, of: int) -> None:
        self.told.append((seen, of))

    def put(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.held[json.dumps(facts, sort_keys=True)] = dict(tensors)


def test_what_one_process_has_measured_another_need_not_measure_again(wrap: Wrap, knowing: Generator) -> None:
    kept, calls = Kept(), []
    measured = directions_of(wrap(Small()), knowing, "map")
    with looks_kept_by(kept):
        look_ahead(wrap(Small()), knowing, "map", ALONG)
    assert len(kept.held) == 1
    other = wrap(Small())  # that nothing is remembered of, as in another process
    anatomy(other.module, 32)
    other.module.register_forward_pre_hook(lambda module, inputs: calls.append(1))
    with looks_kept_by(kept):
        assert torch.equal(directions_of(other, knowing, "map"), measured)
        assert not calls
        directions_of(other, knowing, "map", ALONG.changed(direction_ridge=2.0))
        assert len(kept.held) == 2
    assert calls, "other directions were asked for"


def test_a_notebook_shows_how_far_a_look_is(
    wrap: Wrap, knowing: Generator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    network, recipe = wrap(Small()), ALONG.model_dump(exclude={"technique"})
    synthesize(network, "map", 1, generator=knowing, **recipe)
    assert "first look:   0%| " in capsys.readouterr().err
    synthesize(network, "map", 2, generator=knowing, **recipe)
    assert "first look" not in capsys.readouterr().err


def test_a_look_at_all_layers_draws_the_prototypes_as_well(wrap: Wrap, knowing: Generator) -> None:
    def run(work: object, groups: object) -> list[Any]:
        raise AssertionError("they would be drawn now")

    fresh = copy(knowing)  # of which nothing has been drawn yet
    look_at_all(wrap(Small()), fresh, ALONG)
    assert len(prototype_pictures(fresh, run)) == len(prior_of(fresh).prototypes)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause after every group."""
    monkeypatch.setattr(thread_groups, "PAUSE_SECONDS", 0)


class Counted:
    """A network, and how many pictures it has seen."""

    def __init__(self, network: Network) -> None:
        self.network, self.seen = network, 0
        anatomy(network.module, 32)
        network.module.register_forward_pre_hook(self._count)

    def _count(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.seen += len(inputs[0])


def test_a_network_is_looked_at_ahead_with_all_its_layers_at_once(wrap: Wrap, knowing: Generator) -> None:
    kept, counted = Kept(), Counted(wrap(Small()))
    with looks_kept_by(kept):
        look_at_all(counted.network, knowing, ALONG)
        assert counted.seen == 512
        for layer in ("map", "code", "head"):
            look_ahead(counted.network, knowing, layer, ALONG)
    assert counted.seen == 512
    (held,) = kept.held.values()
    assert {"map", "code", "head"} <= set(held)
    assert kept.told == [(seen, 512) for seen in range(0, 513, 64)]


def test_all_places_of_a_batch_are_looked_at_ahead_in_one_pass_and_each_is_kept_by_itself(
    wrap: Wrap, knowing: Generator
) -> None:
    kept, counted = Kept(), Counted(wrap(Small()))
    corners = [(0, 0), (0, 14), (14, 0), (14, 14), (3, 5), (99, 0)]  # there is none of the last
    with looks_kept_by(kept):
        look_ahead(counted.network, knowing, "map", ALONG, places=[None, *corners])
        assert counted.seen == 512 + 512
        look_ahead(counted.network, knowing, "map", ALONG, places=corners[::-1])
        assert counted.seen == 512 + 512
        look_ahead(counted.network, knowing, "map", ALONG, places=[(7, 8), (0, 0)])
        assert counted.seen == 512 + 512 + 512
    assert len(kept.held) == 1 + 6
    alone, calls = Kept(), Counted(wrap(Small()))
    with looks_kept_by(alone):
        look_ahead(calls.network, knowing, "map", ALONG, places=[(14, 0)])
    ((name, held),) = alone.held.items()
    assert torch.equal(kept.held[name]["map"], held["map"])


def test_what_was_measured_where_nothing_was_kept_is_kept_by_a_look_and_not_measured_again(
    wrap: Wrap, knowing: Generator
) -> None:
    counted, kept = Counted(wrap(Small())), Kept()
    look_ahead(counted.network, knowing, "map", ALONG)
    assert counted.seen == 512
    with looks_kept_by(kept):
        look_at_all(counted.network, knowing, ALONG)
    assert counted.seen == 512
    (held,) = kept.held.values()
    assert {"map", "code", "head"} <= set(held)


def test_a_look_that_was_interrupted_goes_on_where_it_was(
    wrap: Wrap, knowing: Generator, pauses: None
) -> None:
    class Interruption(Exception):
        pass

    def interrupt() -> None:
        if counted.seen >= 300:
            raise Interruption

    counted = Counted(wrap(Small()))
    with pytest.raises(Interruption):
        look_at_all(counted.network, knowing, ALONG, interrupt)
    before = counted.seen
    assert 256 < before < 512
    look_at_all(counted.network, knowing, ALONG)
    assert counted.seen - before == 512 - 256, "four blocks of 64 codes were done"
    measured = directions_of(counted.network, knowing, "map")
    assert torch.equal(measured, directions_of(wrap(Small()), knowing, "map"))


@pytest.mark.parametrize("at", [32, 130, 300, 480])
def test_whoever_needs_a_look_that_rests_goes_on_with_it(
    wrap: Wrap, knowing: Generator, pauses: None, at: int
) -> None:
    """As an interactive batch does in the midst of a bulk one, or of a look that nobody waits for."""

    def on_pause() -> None:
        if counted.seen >= at and not found:
            found.append(torch.empty(0))
            before = counted.seen
            directions_of(counted.network, knowing, "head", ALONG.changed(direction_codes=64))
            assert counted.seen == before + 64, "another look, from its beginning"
            found[0] = directions_of(counted.network, knowing, "head")

    counted, found, kept = Counted(wrap(Small())), list[Tensor](), Kept()
    with looks_kept_by(kept):
        look_at_all(counted.network, knowing, ALONG, on_pause)
    assert counted.seen <= 512 + 64 + 2 * 64, "no more than what was in hand is seen twice"
    expected = wrap(Small())
    assert torch.equal(found[0], directions_of(expected, knowing, "head"))
    assert torch.equal(
        directions_of(counted.network, knowing, "map"), directions_of(expected, knowing, "map")
    )


def test_what_does_not_fit_the_network_is_measured_again(wrap: Wrap, knowing: Generator) -> None:
    kept = Kept()
    with looks_kept_by(kept):
        look_ahead(wrap(Small()), knowing, "map", ALONG)
        (name,) = kept.held
        kept.held[name] = {"map": torch.zeros(6, 3)}
        found = directions_of(wrap(Small()), knowing, "map")
    assert torch.equal(found, directions_of(wrap(Small()), knowing, "map"))


def test_nothing_is_looked_at_for_a_recipe_that_needs_no_directions(wrap: Wrap, knowing: Generator) -> None:
    kept = Kept()
    with looks_kept_by(kept):
        look_ahead(wrap(Small()), knowing, "map", ALONG.changed(start="prototypes"))
        look_ahead(wrap(Small()), knowing, "map", Fourier())
    assert not kept.held
