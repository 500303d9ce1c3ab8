"""A unit at a token, from the request to the picture: a real transformer, API, queue and engine."""

import io
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from api import create_app
from api.context import context
from imago_engine.synthesis.ascent import Item, Picture, synthesize
from imago_engine.synthesis.generators.files import load_generator
from imago_engine.synthesis.networks.load import Network
from imago_engine.techniques import technique_named
from services.access import keys
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from tests import small_world
from tests.integration.worker.batch_runner import patient, run_everything, runner
from tests.worker_processes import Scene
from worker.loading.runtime import Runtime
from worker.process.devices import choose_device

VIT, LAYER, UNIT = "own.vit", "blocks.1", 3
TOKENS = 101
"""A class token, and 10 × 10 patches of 16 pixels."""


@pytest.fixture
def vit(scene: Scene) -> Scene:
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit", num_classes=7).state_dict(), scene.folder / "vit.safetensors")
    wanted = RegisterNetwork(id=VIT, architecture="timm:test_vit", weights="vit.safetensors")
    with scene.database.session() as session:
        register_network(session, wanted)
    assert scene.inspector().look()
    return patient(scene)


def alone(scene: Scene, network: Network, token: int | None) -> Picture:
    """What the engine makes of the unit at this token."""
    recipe = {"steps": 10, "learning_rate": 0.1, "input_size": None}
    [picture] = synthesize(
        network,
        load_generator(scene.folder / small_world.GENERATOR_FILE),
        LAYER,
        [Item(UNIT, 0, None if token is None else (token, 0))],
        technique_named("dgn-am").parameters(recipe),
    )
    return picture


def test_a_job_gets_pictures_of_the_tokens_that_it_names(vit: Scene) -> None:
    app = create_app(vit.settings)
    with vit.database.session() as session:
        _, secret = keys.create_key(session, "tokens", keys.SCOPES)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"

    def get(path: str) -> Any:
        answer = client.get(path)
        assert answer.status_code == 200, answer.data
        return answer.get_json(silent=True) or answer.data

    layer = get(f"/v1/networks/{VIT}/layers/{LAYER}")
    assert (layer["tokens"], layer["usual_token"], layer["height"]) == (TOKENS, 0, None)
    targets = [{"layer": LAYER, "units": str(UNIT), "token": token} for token in (None, 0, 55, TOKENS - 1)]
    recipe = {"parameters": {"steps": 10, "input_size": None}}  # at its own size
    answer = client.post("/v1/jobs", json={"network": VIT, "targets": targets, "recipe": recipe})
    assert answer.status_code == 202, answer.data
    run_everything(runner(vit))
    job = get(answer.headers["Location"])
    assert job["state"] == "succeeded"
    assert job["progress"]["units"]["done"] == 3  # the usual token was named twice
    items = get(job["links"]["visualizations"])["data"]
    assert [item["token"] for item in items] == [None, 55, TOKENS - 1]
    runtime = Runtime(vit.database, vit.store, vit.settings, choose_device("cpu", threads=1))
    network = runtime.network(VIT, get(f"/v1/networks/{VIT}")["network_sha256"])
    for item in items:
        shown = get(item["links"]["self"])
        assert (shown["token"], shown["position"]) == (item["token"], None)
        expected = alone(vit, network, item["token"])
        assert shown["activation"] == expected.activation
        stored = Image.open(io.BytesIO(get(item["links"]["image"])))
        np.testing.assert_array_equal(np.asarray(stored), expected.image)
    assert len({item["activation"] for item in items}) == 3
    context(app).close()
