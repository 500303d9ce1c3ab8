"""Registered networks are looked into by a worker, or refused with a reason."""

from safetensors.torch import load_file, save_file

from services import catalog
from services.catalog import RegisterNetwork
from tests import small_world
from tests.worker_scene import NETWORK, Scene
from worker.synthesis.generator_file import file_sha256


def refusal(scene: Scene, network: str) -> str:
    """The reason why a network was refused."""
    assert scene.inspector().inspect_one()
    found = scene.network(network)
    assert found.state == "failed"
    assert found.error is not None
    return found.error


def test_a_file_in_the_weights_folder_becomes_a_network_with_layers(scene: Scene) -> None:
    network = scene.network()
    assert network.state == "ready"
    assert network.weights_sha256 == file_sha256(scene.folder / small_world.NETWORK_FILE)
    with scene.database.session() as session:
        layers = catalog.list_layers(session, NETWORK).data
        output = catalog.get_layer(session, NETWORK, "output")
    assert [layer.ordinal for layer in layers] == list(range(len(layers)))
    assert (output.name, output.kind, output.units) == ("classifier", "output", small_world.CLASSES)
    assert layers[0].spatial is not None


def test_nothing_pending_is_no_work(scene: Scene) -> None:
    assert not scene.inspector().inspect_one()


def test_a_file_that_is_not_there_is_named(scene: Scene) -> None:
    scene.register("small.absent", "absent.safetensors")
    assert "absent.safetensors" in refusal(scene, "small.absent")


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
        catalog.register_network(session, RegisterNetwork(id="efficientnet_lite7.imagenet"))
    assert "efficientnet_lite" in refusal(scene, "efficientnet_lite7.imagenet")
