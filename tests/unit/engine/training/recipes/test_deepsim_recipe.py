"""The released recipe's rules, each with its numbers."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from imago_engine.synthesis.generators.architectures import CAFFE_MEAN_BGR
from imago_engine.synthesis.generators.deepsim_networks import DeepsimPool5, DeepsimVector
from imago_engine.synthesis.generators.files import load_generator
from imago_engine.synthesis.networks.load import load_network
from imago_engine.training.data.preparation import Prepared
from imago_engine.training.recipes import OptionsError, read_options
from imago_engine.training.recipes.deepsim.balance import Balance
from imago_engine.training.recipes.deepsim.caffe_loss import euclidean_loss, softmax_loss
from imago_engine.training.recipes.deepsim.comparator import Comparator, last_layer_with_places
from imago_engine.training.recipes.deepsim.discriminator import DeepsimDiscriminator, dropout_masks
from imago_engine.training.recipes.deepsim.recipe import DeepsimRecipe
from imago_engine.training.results.export import write_generator
from imago_engine.training.run.training import Training
from imago_engine.trainings import DeepsimSettings
from tests.thin_deepsim import SCHEDULE, SMALL, new_training, toy_comparator, toy_pictures
from tests.thin_deepsim import thin as thin_networks


def test_euclidean_loss_is_half_the_sum_over_a_picture_and_the_mean_over_the_batch() -> None:
    a, b = torch.zeros(4, 3, 2, 2), torch.full((4, 3, 2, 2), 10.0)
    assert euclidean_loss(a, b) == 12 * 100 / 2  # Caffe: Σ/2N; a mean would give 100
    assert 2e-6 * euclidean_loss(torch.zeros(1, 3, 256, 256), torch.full((1, 3, 256, 256), 50.0)) == (
        pytest.approx(2e-6 * 3 * 256 * 256 * 2500 / 2)
    )


def test_softmax_loss_is_the_mean_cross_entropy() -> None:
    assert float(softmax_loss(torch.zeros(6, 2), 1)) == pytest.approx(math.log(2))
    logits = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    assert float(softmax_loss(logits, 1)) == pytest.approx((math.log(1 + math.exp(-2)) + math.log(2)) / 2)


def test_the_balance_pauses_and_frees_each_adversary_at_its_ratio() -> None:
    balance = Balance()
    states = []
    for ratio in (1.0, 0.05, 0.3, 0.6, 0.3, 11.0, 5.0, 0.2, 0.09, 0.5, 0.51):
        balance.after_step(ratio)
        states.append((balance.discriminator_trains, balance.generator_trains))
    both, only_g, only_d = (True, True), (False, True), (True, False)
    assert states == [
        both, only_g, only_g, both, both,  # paused below 0.1, freed above 0.5, not in between
        only_d, only_d, only_d, only_g,  # the generator waits from 10 until the discriminator has caught up
        only_g, both,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def comparator() -> Comparator:
    return toy_comparator()


@pytest.fixture(scope="module")
def pictures() -> Prepared:
    return toy_pictures()


@pytest.fixture
def thin() -> Iterator[None]:
    with thin_networks():
        yield


@pytest.fixture(scope="module")
def training(pictures: Prepared, comparator: Comparator) -> Training:
    return new_training(pictures, comparator)


def recipe_of(training: Training) -> DeepsimRecipe:
    assert isinstance(training.recipe, DeepsimRecipe)
    return training.recipe


def test_the_learning_rate_is_halved_at_the_published_steps(training: Training) -> None:
    rates = {
        step: training.recipe.learning_rate(step, SCHEDULE, now=0.0)
        for step in (0, 299_999, 300_000, 500_000, 700_000, 900_000, 1_100_000)
    }
    expected = [2e-4, 2e-4, 1e-4, 5e-5, 2.5e-5, 1.25e-5, 6.25e-6]
    assert list(rates.values()) == pytest.approx(expected)


def test_the_optimizers_and_weights_are_the_published_ones(training: Training) -> None:
    for optimizer, _ in training.recipe.optimizers.values():
        assert type(optimizer) is torch.optim.Adam  # its decay is part of the gradient, as Caffe's
        group = optimizer.param_groups[0]
        assert (group["betas"], group["weight_decay"]) == ((0.9, 0.999), 4e-4)
    o = DeepsimSettings()
    assert (o.batch, o.learning_rate, o.feature_size) == (64, 2e-4, 227)
    assert (o.pixel_weight, o.feature_weight, o.adversarial_weight) == (2e-6, 0.01, 100)
    assert DeepsimRecipe.preset.pictures == 1_000_000 * 64


@pytest.mark.usefixtures("thin")
def test_the_losses_of_a_step_are_the_weighted_sums_of_caffe(
    pictures: Prepared, comparator: Comparator
) -> None:
    training = new_training(pictures, comparator)
    recipe = recipe_of(training)
    batch = training.feed.take(0)
    losses = training.step()

    fresh = recipe_of(new_training(pictures, comparator))
    mean = torch.tensor(CAFFE_MEAN_BGR).view(3, 1, 1)
    real = (batch.real + 1) * 127.5
    with torch.no_grad():
        made = fresh.network(batch.code)
        wanted = comparator(real[:, :, 96:160, 96:160] / 255)  # the central 64 pixels of 256
        features = comparator((made[:, :, 96:160, 96:160] + mean).flip(1) / 255)
    bgr = real.flip(1) - mean
    assert float(losses["pixel"]) == pytest.approx(2e-6 * float((made - bgr).square().sum()) / 4, rel=1e-4)
    assert float(losses["feature"]) == pytest.approx(
        0.01 * float((features - wanted).square().sum()) / 4, rel=1e-4
    )
    ratio = float(losses["discriminator"] / losses["adversarial"])
    assert recipe.balance == _after(ratio)


def _after(ratio: float) -> Balance:
    balance = Balance()
    balance.after_step(ratio)
    return balance


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("paused", ["generator", "discriminator"])
def test_a_paused_adversary_is_not_changed(pictures: Prepared, comparator: Comparator, paused: str) -> None:
    training = new_training(pictures, comparator)
    recipe = recipe_of(training)
    recipe.balance = Balance(paused != "discriminator", paused != "generator")
    before = {n: [p.detach().clone() for p in m.parameters()] for n, m in recipe.modules.items()}
    losses = training.step()
    for name, module in recipe.modules.items():
        changed = any(
            not torch.equal(old, new) for old, new in zip(before[name], module.parameters(), strict=True)
        )
        assert changed == (name != paused)
    assert float(losses[f"{paused}_trains"]) == 0
    assert all(p.requires_grad for p in recipe.discriminator.parameters())


def test_biases_of_deconvolutions_stay_zero(training: Training) -> None:
    training.step()
    network = recipe_of(training).network
    assert isinstance(network, DeepsimPool5)
    assert network.deconv0.bias is not None
    assert network.Rconv6.bias is not None
    assert torch.count_nonzero(network.deconv0.bias) == 0
    assert torch.count_nonzero(network.Rconv6.bias) > 0


@pytest.mark.usefixtures("thin")
def test_a_killed_training_resumes_with_its_balance_and_the_same_losses_and_is_exported(
    pictures: Prepared, comparator: Comparator, tmp_path: Path
) -> None:
    unbroken = new_training(pictures, comparator)
    unbroken.step()
    recipe_of(unbroken).balance = Balance(discriminator_trains=False)
    unbroken.save(tmp_path / "checkpoint.safetensors")
    code = torch.from_numpy(pictures.codes[:1])
    rgb = unbroken.recipe.reconstruct(code)
    expected = [unbroken.step() for _ in range(2)]
    second = new_training(pictures, comparator)
    second.restore(tmp_path / "checkpoint.safetensors")
    assert recipe_of(second).balance == Balance(discriminator_trains=False)
    for losses in expected:
        assert {k: float(v) for k, v in second.step().items()} == pytest.approx(
            {k: float(v) for k, v in losses.items()}, rel=1e-6
        )
    assert recipe_of(second).balance == recipe_of(unbroken).balance

    (tmp_path / "prepared").mkdir()
    np.save(tmp_path / "prepared" / "images.npy", pictures.images)
    np.save(tmp_path / "prepared" / "codes.npy", pictures.codes)
    (tmp_path / "prepared" / "index.json").write_text(json.dumps(asdict(pictures.index)))
    write_generator(tmp_path, tmp_path / "g.safetensors", dtype=torch.float32)
    generator = load_generator(tmp_path / "g.safetensors")
    assert (generator.info.architecture, generator.info.pixels) == ("deepsim-pool5", "bgr_mean")
    torch.testing.assert_close(generator(code).clamp(0, 1), (rgb + 1) / 2, atol=1e-4, rtol=0)
    assert "preset `deepsim`" in (tmp_path / "g.md").read_text()


def test_reconstructions_are_rgb(training: Training) -> None:
    recipe = recipe_of(training)
    rgb = recipe.reconstruct(torch.zeros(1, 256, 6, 6))
    assert rgb.shape == (1, 3, 256, 256)
    bgr = recipe.network(torch.zeros(1, 256, 6, 6)) + torch.tensor(CAFFE_MEAN_BGR).view(3, 1, 1)
    torch.testing.assert_close((rgb + 1) / 2 * 255, bgr.flip(1).clamp(0, 255), atol=1e-3, rtol=0)


def test_the_discriminator_has_the_published_shapes() -> None:
    network = DeepsimDiscriminator(4096)
    seen: list[tuple[int, ...]] = []
    for conv in network.convs:
        conv.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape[1:])))
    masks = dropout_masks(2, torch.Generator().manual_seed(0))
    assert network(torch.zeros(2, 3, 227, 227), torch.zeros(2, 4096), masks).shape == (2, 2)
    assert seen == [(32, 56, 56), (64, 52, 52), (128, 25, 25), (256, 23, 23), (256, 11, 11)]
    assert {float(value) for mask in masks for value in torch.unique(mask)} == {0.0, 2.0}


def test_any_shape_of_code_has_a_generator() -> None:
    assert DeepsimRecipe.architecture(SMALL, (256, 6, 6)) == ("deepsim-pool5", {})
    assert DeepsimRecipe.architecture(SMALL, (4096,)) == ("deepsim-fc6", {"code_size": 4096})
    assert DeepsimRecipe.architecture(SMALL, (40, 4, 4)) == ("deepsim-fc6", {"code_size": 640})
    with torch.device("meta"):
        assert DeepsimVector(640)(torch.empty(2, 40, 4, 4)).shape == (2, 3, 256, 256)


def test_the_last_layer_with_places_stands_for_pool5() -> None:
    network = load_network("efficientnet_lite0.imagenet")
    layer = last_layer_with_places(network)
    assert layer.startswith(("conv_head", "bn2"))
    features = Comparator(network, layer)(torch.rand(1, 3, 224, 224))
    assert features.shape == (1, 1280, 7, 7)


def test_pictures_of_another_size_are_refused(pictures: Prepared, comparator: Comparator) -> None:
    smaller = Prepared(replace(pictures.index, image_size=64), pictures.images, pictures.codes)
    with pytest.raises(OptionsError, match="makes pictures of 256 pixels; the data were prepared at 64"):
        new_training(smaller, comparator)
    with pytest.raises(OptionsError, match="--feature-size: should be greater than or equal to 64; got 32"):
        read_options(DeepsimSettings, {"feature_size": 32})
