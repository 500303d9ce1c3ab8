"""What a training takes over from a generator of another size or of codes without places."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from imago_engine.generators import GeneratorInfo
from imago_engine.synthesis.generators.architectures import Generator, build_network
from imago_engine.synthesis.generators.files import save_generator
from imago_engine.training.data.encoder import Encoder
from imago_engine.training.data.preparation import Prepared
from imago_engine.training.recipes import OptionsError
from imago_engine.training.recipes.projected import ProjectedOptions, ProjectedRecipe
from imago_engine.training.recipes.recipe import trained
from imago_engine.training.recipes.warm_start import warm_start
from imago_engine.training.results.code_statistics import statistics_of
from imago_engine.training.run.loading import new_training
from imago_engine.training.run.schedule import Schedule
from imago_engine.training.run.training import Training

THIN = {"widths": (24, 16), "depths": (1, 1)}


def written(path: Path, prepared: Prepared, encoder: Encoder, **arguments: object) -> Generator:
    """A generator of 16 pixels for codes of vectors, with random weights, saved to `path`."""
    torch.manual_seed(1)
    vectors = prepared.codes.reshape(len(prepared.codes), 1280, -1).mean(2)
    statistics = statistics_of(vectors)
    sizes = {"code_size": 1280, **THIN, **arguments}
    info = GeneratorInfo(
        "compact",
        sizes,
        (1280,),
        16,
        "rgb_unit_tanh",
        encoder.network_id,
        "global_pool",
        encoder.weights_sha256,
    )
    generator = Generator(
        info, build_network("compact", sizes), statistics.mean, statistics.std, statistics.lower
    )
    save_generator(path, generator, torch.float32)
    return generator


def started(prepared: Prepared, **options: object) -> Training:
    options = {"batch": 8, "feature_size": 32, **THIN, "finish": 16, "subpixel": True, **options}
    return new_training(prepared, ProjectedRecipe, ProjectedOptions(**options), Schedule(1000, warmup=0))  # type: ignore[arg-type]


@pytest.fixture
def with_places(prepared: Prepared) -> Prepared:
    """The same pictures with codes of 2×2 places whose mean is the vector."""
    apart = np.random.default_rng(0).normal(0, 0.02, (len(prepared.codes), 1280, 2, 2)).astype(np.float32)
    codes = prepared.codes[:, :, None, None] + apart - apart.mean((2, 3), keepdims=True)
    index = replace(prepared.index, code_shape=(1280, 2, 2), encoder_layer="bn2", encoder_grid=2)
    return Prepared(index, prepared.images, codes)


def coarse(pictures: Tensor) -> Tensor:
    """Colours of the 4×4 parts of pictures: softer edges do not change them."""
    return F.adaptive_avg_pool2d(pictures, 4)


def correlation(some: Tensor, others: Tensor) -> float:
    """Of the coarse colours, over what pictures of one kind differ by among themselves."""
    a, b = ((coarse(x) - coarse(x).mean(0)).flatten() for x in (some, others))
    return float(F.cosine_similarity(a, b, dim=0))


def test_a_training_of_larger_pictures_starts_with_those_of_the_generator_enlarged(
    prepared: Prepared, encoder: Encoder, tmp_path: Path
) -> None:
    generator = written(tmp_path / "small.safetensors", prepared, encoder)
    training = started(prepared)
    assert warm_start(training, tmp_path / "small.safetensors").anew == ()
    rows = np.arange(8)
    pictures = generator(torch.from_numpy(prepared.codes[rows].copy())) * 2 - 1
    assert correlation(training.reconstructions(rows), pictures) > 0.9


def test_codes_with_places_start_with_what_their_mean_would_give(
    with_places: Prepared, encoder: Encoder, tmp_path: Path
) -> None:
    generator = written(tmp_path / "small.safetensors", with_places, encoder)
    training = started(with_places)
    assert warm_start(training, tmp_path / "small.safetensors").anew == ("place",)
    rows = np.arange(8)
    pictures = generator(torch.from_numpy(with_places.codes[rows].mean((2, 3)))) * 2 - 1
    assert correlation(training.reconstructions(rows), pictures) > 0.9


def test_a_head_start_teaches_the_discriminator_and_leaves_the_generator_alone(prepared: Prepared) -> None:
    training = started(prepared, head_start=16)
    generator, judge = (trained(training.recipe.modules[name]) for name in ("generator", "discriminator"))
    drawing, judging = ([weight.detach().clone() for weight in weights] for weights in (generator, judge))
    training.step()
    training.step()
    assert all(map(torch.equal, generator, drawing))
    assert not all(map(torch.equal, judge, judging))
    training.step()
    assert not all(map(torch.equal, generator, drawing))


def test_a_generator_of_other_codes_is_refused(prepared: Prepared, encoder: Encoder, tmp_path: Path) -> None:
    sizes = {"code_size": 8, **THIN}
    info = GeneratorInfo(
        "compact", sizes, (8,), 16, "rgb_unit_tanh", encoder.network_id, "classifier", encoder.weights_sha256
    )
    other = Generator(info, build_network("compact", sizes), torch.zeros(8), torch.ones(8), torch.zeros(8))
    save_generator(tmp_path / "other.safetensors", other)
    with pytest.raises(OptionsError, match=r"codes like \[1280\] from layer global_pool, got one of \[8\]"):
        warm_start(started(prepared), tmp_path / "other.safetensors")


def test_all_of_a_checkpoint_is_taken_over_by_a_training_of_other_batches(
    small_training: Callable[..., Training], tmp_path: Path
) -> None:
    first, file = small_training(), tmp_path / "checkpoint.safetensors"
    first.step(now=0.0)
    first.save(file)
    second = small_training(batch=16, head_start=0)
    assert warm_start(second, file).anew == ()
    for name, module in first.recipe.modules.items():
        for own, other in zip(
            module.state_dict().values(), second.recipe.modules[name].state_dict().values(), strict=True
        ):
            assert torch.equal(own, other)
    taken = second.recipe.optimizers["discriminator_optimizer"][0].state
    assert {float(state["step"]) for state in taken.values()} == {1}
    assert second.step_number == 0
    losses = second.step(now=0.0)
    assert losses
    assert all(torch.isfinite(loss) for loss in losses.values())
    scales = [t.recipe.modules["discriminator"].state_dict()["tap_scale"] for t in (first, second)]
    assert torch.equal(*scales)
    assert (scales[0] != 1).all()
    taken_over = ProjectedRecipe.taking_over(
        ProjectedOptions(smooth=True, refined=True), {"widths": [24, 16]}
    )
    assert (taken_over.smooth, taken_over.refined) == (False, False), "as networks of earlier releases are"
    with pytest.raises(OptionsError, match=r"of networks of the same sizes \(widths \[24, 16, 8\]\)"):
        warm_start(small_training(widths=(16, 16, 8)), file)
