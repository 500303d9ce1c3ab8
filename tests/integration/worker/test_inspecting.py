"""Registered networks are looked into by a worker, or refused with a reason."""

import errno
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from sqlalchemy import text

from imago_engine.networks import LayerInfo
from imago_engine.synthesis.generators.files import file_sha256
from imago_engine.synthesis.inspection.layers import inspect
from imago_engine.synthesis.networks.load import Network
from services.catalog.layer_selection import list_layers
from services.catalog.layers import get_layer
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.queue.crash_rule import CRASHES_ALONE
from tests import small_world
from tests.hub_cache import hub_cache
from tests.worker_processes import NETWORK, Scene
from worker.inspecting import inspector


def refusal(scene: Scene, network: str) -> str:
    """The reason why a network was refused."""
    assert scene.inspector().look()
    found = scene.network(network)
    assert found.state == "failed"
    assert found.error is not None
    return found.error


def test_a_file_in_the_weights_folder_becomes_a_network_with_layers(scene: Scene) -> None:
    network = scene.network()
    assert network.state == "ready"
    assert network.weights_sha256 == file_sha256(scene.folder / small_world.NETWORK_FILE)
    with scene.database.session() as session:
        layers = list_layers(session, NETWORK).data
        output = get_layer(session, NETWORK, "output")
    assert [layer.ordinal for layer in layers] == list(range(len(layers)))
    assert (output.name, output.kind, output.units) == ("classifier", "output", small_world.CLASSES)
    assert layers[0].spatial is not None


def test_nothing_pending_is_no_work(scene: Scene) -> None:
    assert not scene.inspector().look()


def test_an_inspection_that_was_in_hand_when_a_worker_died_is_made_without_anything_in_its_midst(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[str] = []

    def slow(network: Network) -> Sequence[LayerInfo]:
        time.sleep(4 * inspector.NOTICE_SECONDS)
        return inspect(network)

    monkeypatch.setattr(inspector, "inspect", slow)
    for id in ("small.new", "small.crashed"):
        scene.register(id, small_world.NETWORK_FILE)
        if id == "small.crashed":
            with scene.database.session() as session:
                crashed = text("UPDATE networks SET inspection_tries = 1 WHERE id = :id")
                session.execute(crashed, {"id": id})
        assert scene.inspector(on_pause=lambda: paused.append(id)).look()  # noqa: B023
        assert scene.network(id).state == "ready"
    assert set(paused) == {"small.new"}


def test_a_file_that_is_not_there_is_named(scene: Scene) -> None:
    scene.register("small.absent", "absent.safetensors")
    assert "absent.safetensors" in refusal(scene, "small.absent")


def test_a_network_in_use_whose_weights_are_away_when_it_is_inspected_again_stays_ready(scene: Scene) -> None:
    before = scene.network()
    with scene.database.session() as session:
        session.execute(text("UPDATE networks SET inspection_version = 0"))
    weights, elsewhere = scene.folder / small_world.NETWORK_FILE, scene.folder / "elsewhere"
    weights.rename(elsewhere)
    away = scene.inspector()
    assert away.look()
    assert not away.look()  # it is left alone for a while
    assert scene.network().state == "ready"
    assert small_world.NETWORK_FILE in (away._held.lacking.reason or "")
    assert scene.count("SELECT count(*) FROM networks WHERE lease_id IS NOT NULL") == 0
    elsewhere.rename(weights)
    assert scene.inspector().look()
    assert scene.network().spec_sha256 == before.spec_sha256
    assert scene.count("SELECT count(*) FROM networks WHERE inspection_due") == 0


def _out_of_memory(*_: object) -> NoReturn:
    raise MemoryError("no more")


def test_memory_that_runs_out_leaves_a_network_in_use_as_it_is(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scene.network()
    with scene.database.session() as session:
        session.execute(text("UPDATE networks SET inspection_version = 0"))
    with monkeypatch.context() as patched:
        patched.setattr(inspector, "inspect", _out_of_memory)
        for _ in range(2 * CRASHES_ALONE):
            short = scene.inspector()
            assert short.look()
            assert not short.look()  # it is left alone for a while
            assert "ran out of memory" in (short._held.lacking.reason or "")
    assert (scene.network().state, scene.network().error) == ("ready", None)
    assert scene.count("SELECT count(*) FROM networks WHERE lease_id IS NOT NULL") == 0
    assert scene.inspector().look()  # another worker has the memory
    assert scene.network().spec_sha256 == before.spec_sha256
    assert scene.count("SELECT count(*) FROM networks WHERE inspection_due") == 0


def test_memory_that_runs_out_leaves_a_new_network_to_other_workers(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.register("small.new", small_world.NETWORK_FILE)
    with monkeypatch.context() as patched:
        patched.setattr(inspector, "inspect", _out_of_memory)
        short = scene.inspector()
        assert short.look()
        assert not short.look()  # it is left alone for a while
    assert (scene.network("small.new").state, scene.network("small.new").error) == ("pending", None)
    assert scene.inspector().look()
    assert scene.network("small.new").state == "ready"


def test_a_new_network_for_which_memory_runs_out_again_and_again_fails_for_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.register("small.new", small_world.NETWORK_FILE)
    monkeypatch.setattr(inspector, "inspect", _out_of_memory)
    for _ in range(CRASHES_ALONE - 1):
        assert scene.inspector().look()
        assert scene.network("small.new").state == "pending"
    assert "ran out of memory" in refusal(scene, "small.new")
    assert not scene.inspector().look()


def test_whatever_a_library_says_of_files_is_told_without_their_folders(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(network: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(scene.folder / "some.safetensors"))

    scene.register("small.new", small_world.NETWORK_FILE)
    monkeypatch.setattr(inspector, "inspect", unreadable)
    said = refusal(scene, "small.new")
    assert "Permission denied: 'some.safetensors'" in said
    assert str(scene.folder) not in said


def test_weights_of_another_shape_say_what_was_expected(scene: Scene) -> None:
    state = load_file(scene.folder / small_world.NETWORK_FILE)
    state["classifier.weight"] = state["classifier.weight"][:10].clone()
    save_file(state, scene.folder / "other.safetensors")
    scene.register("small.other", "other.safetensors")
    assert "classifier.weight" in refusal(scene, "small.other")


def test_a_file_that_is_no_safetensors_file_is_refused(scene: Scene) -> None:
    (scene.folder / "pickle.safetensors").write_bytes(b"\x80\x04K\x01.")
    scene.register("small.pickle", "pickle.safetensors")
    assert "safetensors" in refusal(scene, "small.pickle")


def test_an_unknown_architecture_is_refused_with_what_would_be_accepted(scene: Scene) -> None:
    with scene.database.session() as session:
        register_network(session, RegisterNetwork(id="efficientnet_lite7.imagenet"))
    assert "efficientnet_lite" in refusal(scene, "efficientnet_lite7.imagenet")


@pytest.mark.parametrize("id", ["resnet18.no_such_tag", "resnet18.NO_SUCH", "efficientnet_lite9.imagenet"])
def test_a_reason_leaves_the_name_to_whoever_shows_it(scene: Scene, id: str) -> None:
    with scene.database.session() as session:
        register_network(session, RegisterNetwork(id=id))
    assert id not in refusal(scene, id)


def test_a_timm_network_is_loaded_by_the_tag_of_its_id(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    id = "mobilenetv3_small_050.lamb_in1k"
    hub_cache(monkeypatch, tmp_path, id)
    with scene.database.session() as session:
        register_network(session, RegisterNetwork(id=id))
    assert scene.inspector().look()
    network = scene.network(id)
    assert (network.state, network.error, network.weights) == ("ready", None, "lamb_in1k")
    assert (network.outputs, len(network.labels)) == (1000, 1000)


def test_a_network_of_one_input_size_is_found_out(scene: Scene) -> None:
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit3", num_classes=7).state_dict(), scene.folder / "vit.safetensors")
    with scene.database.session() as session:
        register_network(
            session,
            RegisterNetwork(id="own.vit", architecture="timm:test_vit3", weights="vit.safetensors"),
        )
    assert scene.inspector().look()
    network = scene.network("own.vit")
    assert (network.input_sizes, network.own_size) == ({"step": None, "least": 160, "most": 160}, 160)
    assert not network.runs_at(small_world.IMAGE_SIZE)  # what the scene's generator recommends


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"preprocessing": '{"mean": [123.675, 116.28, 103.53]}'}, "preprocessing.mean"),
        ({"preprocessing": '{"std": [1, Infinity, 1]}'}, "preprocessing.std"),
        ({"preprocessing": "[" * 5000}, "preprocessing"),
        ({"labels": json.dumps(["\0", *"abcdef"])}, r"labels[0]"),
        ({"labels": r'["\ud800", "b", "c", "d", "e", "f", "g"]'}, r"labels[0]"),
    ],
)
def test_metadata_that_cannot_be_stored_or_means_nothing_is_refused_by_name(
    scene: Scene, metadata: dict[str, str], reason: str
) -> None:
    state = timm.create_model(small_world.ARCHITECTURE, num_classes=7).state_dict()
    save_file(state, scene.folder / "odd.safetensors", metadata)
    with scene.database.session() as session:
        register_network(
            session,
            RegisterNetwork(
                id="own.odd", architecture=f"timm:{small_world.ARCHITECTURE}", weights="odd.safetensors"
            ),
        )
    assert reason in refusal(scene, "own.odd")


def test_names_in_a_file_that_the_database_cannot_hold_do_not_keep_it_waiting(scene: Scene) -> None:
    state = load_file(scene.folder / small_world.NETWORK_FILE)
    save_file({**state, "sur\0plus": torch.zeros(1)}, scene.folder / "nul.safetensors")
    scene.register("small.nul", "nul.safetensors")
    assert r"sur\x00plus" in refusal(scene, "small.nul")


def test_what_is_stated_is_what_the_network_is_loaded_with(scene: Scene) -> None:
    request = RegisterNetwork.model_validate(
        {
            "id": "small.stated",
            "architecture": f"timm:{small_world.ARCHITECTURE}",
            "weights": small_world.NETWORK_FILE,
            "mean": [0, 0.25, 0.5],
            "std": [1, 0.5, 0.25],
            "input_size": 64,
            "channels": "bgr",
            "labels": [f"thing {index}" for index in range(small_world.CLASSES)],
        }
    )
    with scene.database.session() as session:
        register_network(session, request)
    assert scene.inspector().look()
    network = scene.network("small.stated")
    assert (network.state, network.error) == ("ready", None)
    assert network.preprocessing == {"size": 64, "mean": [0, 0.25, 0.5], "std": [1, 0.5, 0.25], "bgr": True}
    assert network.labels[7] == "thing 7"
    assert network.spec_sha256 != network.weights_sha256
