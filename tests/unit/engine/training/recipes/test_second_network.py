"""A second network that judges, and codes that no picture has."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import squeezenet1_1

from imago_engine.synthesis.generators.prior import CodePrior
from imago_engine.synthesis.networks.load import Network
from imago_engine.training.distributed.processes import Processes
from imago_engine.training.distributed.shared_rows import SharedRows
from imago_engine.training.recipes import OptionsError
from imago_engine.training.recipes.ascent_like import LEAST, MOST, AscentLikeCodes
from imago_engine.training.recipes.projected import ProjectedRecipe
from imago_engine.training.recipes.reachable import ReachableCodes
from imago_engine.training.recipes.step_inputs import drawn_inputs
from imago_engine.training.recipes.tapped_network import TapError, TappedNetwork
from imago_engine.training.run.training import Training

SmallTraining = Callable[..., Training]


def squeezenet() -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = squeezenet1_1(weights=None, num_classes=10)
    return module


def test_a_network_is_tapped_where_its_maps_are_last_of_their_size() -> None:
    tapped = TappedNetwork(Network.of(squeezenet()), 128)
    assert [(tap.channels, tap.side) for tap in tapped.taps] == [(128, 31), (256, 15), (10, 7)]
    maps, code = tapped(torch.rand(2, 3, 128, 128) * 2 - 1)
    assert [tuple(m.shape) for m in maps] == [(2, 128, 31, 31), (2, 256, 15, 15), (2, 10, 7, 7)]
    torch.testing.assert_close(code, maps[-1].mean((2, 3)))


def test_it_stays_frozen_and_in_evaluation_mode() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Dropout()
    )
    tapped = TappedNetwork(Network.of(module), 32).train()
    before = {name: tensor.clone() for name, tensor in tapped.state_dict().items()}
    rgb = torch.rand(2, 3, 32, 32, requires_grad=True)
    tapped(rgb)[1].sum().backward()
    assert rgb.grad is not None
    assert not any(parameter.requires_grad for parameter in tapped.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in tapped.state_dict().items())


def test_a_network_without_maps_is_refused() -> None:
    with pytest.raises(TapError, match="expected a network of convolutions with at least two"):
        TappedNetwork(Network.of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))), 32)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    path = tmp_path / "second.safetensors"
    save_file(squeezenet().state_dict(), path)
    return str(path)


def test_a_second_network_judges_as_well_and_a_checkpoint_holds_its_discriminator(
    small_training: SmallTraining, weights: str, tmp_path: Path
) -> None:
    second = {"second_network": "torchvision:squeezenet1_1", "second_weights": weights, "feature_size": 64}
    training = small_training(**second)
    judge = training.recipe.modules["second_discriminator"]
    before = {name: tensor.clone() for name, tensor in judge.state_dict().items()}
    training.step()
    assert any(not torch.equal(tensor, before[name]) for name, tensor in judge.state_dict().items())
    training.save(tmp_path / "checkpoint.safetensors")
    resumed = small_training(**second)
    resumed.restore(tmp_path / "checkpoint.safetensors")
    assert training.step(now=0.0) == resumed.step(now=0.0)


def test_a_second_network_that_does_not_run_at_the_size_is_named(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    transformer = timm.create_model("vit_tiny_patch16_224", num_classes=4)
    save_file(transformer.state_dict(), tmp_path / "vit.safetensors")
    second = {"second_network": "timm:vit_tiny_patch16_224", "second_weights": f"{tmp_path}/vit.safetensors"}
    with pytest.raises(OptionsError, match=r"--second-network: second\.own does not run at 32 pixels"):
        small_training(**second)


def prior() -> CodePrior:
    torch.manual_seed(0)
    axes, _ = torch.linalg.qr(torch.randn(24, 6))
    return CodePrior(torch.full((6, 2, 2), 0.5), axes.T.reshape(6, 6, 2, 2), torch.randn(40, 6))


def test_ascent_like_codes_lie_along_a_direction_from_the_prototypes_that_it_favours() -> None:
    known = prior()
    alike = AscentLikeCodes(known, torch.device("cpu"))
    codes = alike.codes(alike.numbers(64, torch.Generator().manual_seed(3)))
    assert codes.shape == (64, 6, 2, 2)
    again = alike.codes(alike.numbers(64, torch.Generator().manual_seed(3)))
    torch.testing.assert_close(codes, again)
    points = (codes - known.mean).flatten(1) @ known.axes.flatten(1).T  # axes of unit length: [64, 6]
    torch.testing.assert_close(known.code(points), codes)  # within what the axes span
    lengths = points.norm(dim=1)
    starts = known.prototypes.norm(dim=1).max()
    assert lengths.max() <= starts + MOST * math.sqrt(6)
    assert lengths.mean() > LEAST * math.sqrt(6)


def test_ascent_like_codes_are_judged_and_not_compared_with_pictures(small_training: SmallTraining) -> None:
    with_them, without = small_training(ascent_share=0.5), small_training()
    recipe = with_them.recipe
    assert isinstance(recipe, ProjectedRecipe)
    batch = with_them.feed.take(0)
    inputs = drawn_inputs(batch, 32, recipe._ascent_like)
    drawn = recipe._with_ascent_like(batch.code, inputs)
    rows, bare = recipe._pictured.own, recipe._bare.own
    assert rows.tolist() == [0, 2, 4, 6]
    assert bare.tolist() == [1, 3, 5, 7]
    assert torch.equal(drawn[rows], batch.code[rows])
    assert not torch.isclose(drawn[bare], batch.code[bare]).all(1).any()
    losses, plain = with_them.step(), without.step()
    assert losses
    assert losses.keys() == plain.keys()
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_codes_that_no_picture_has_and_as_many_photographs_are_judged_without_their_code(
    small_training: SmallTraining,
) -> None:
    told: list[Tensor] = []

    def listen(_: nn.Module, given: tuple[list[Tensor], Tensor, Tensor]) -> None:
        told.append(given[1].detach())

    for blind in (True, False):
        training = small_training(ascent_share=0.5, blind=blind)
        training.recipe.modules["discriminator"].register_forward_pre_hook(listen)
        training.step()
        assert len(told) == 3  # of photographs, and of what is made of codes, for either's step
        for codes in told:
            assert [bool(code.any()) for code in codes] == [True, not blind] * 4
        told.clear()


def test_reachable_codes_are_the_nearest_along_the_directions() -> None:
    known = prior()
    scale = torch.rand(6, 2, 2) + 0.5
    reachable = ReachableCodes(known, scale, torch.device("cpu"))
    on_it = (known.code(torch.randn(5, 6)) - known.mean) / scale
    torch.testing.assert_close(reachable.nearest(on_it), on_it, rtol=0, atol=1e-5)
    beside = torch.randn(5, 6, 2, 2)
    nearest = reachable.nearest(beside)
    apart = (nearest - beside).flatten(1)
    for _ in range(20):
        other = reachable.nearest(beside + 0.3 * torch.randn_like(beside))
        assert ((other - beside).flatten(1).norm(dim=1) >= apart.norm(dim=1) - 1e-5).all()


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_rows_that_processes_share_unequally_count_as_much_as_in_one_process(size: int) -> None:
    chosen, values = torch.tensor([0, 0, 0, 1, 1, 0, 0, 1]).bool(), torch.arange(8.0)
    told, rows = [], []
    for rank in range(size):
        processes = Processes(rank, size)
        shared = SharedRows(processes).where(chosen, torch.device("cpu"))
        taken = shared.taken(values[processes.share(8)])
        assert len(taken), "one that has none of them computes as well, so that the others need not wait"
        told.append(shared.weight * taken.mean())
        rows += (shared.own + processes.share(8).start).tolist()
    assert rows == [3, 4, 7]
    torch.testing.assert_close(torch.stack(told).mean(), values[chosen].mean())


def test_only_pictures_have_reachable_codes_and_they_are_compared_with_them(
    small_training: SmallTraining,
) -> None:
    training = small_training(ascent_share=0.5, reachable_share=0.5)
    recipe = training.recipe
    assert isinstance(recipe, ProjectedRecipe)
    assert recipe._reduced.own.tolist() == [2, 6]
    standard = torch.randn(8, *training.prepared.index.code_shape)
    reduced = recipe._with_reachable(standard)
    kept = [row for row in range(8) if row not in (2, 6)]
    assert torch.equal(reduced[kept], standard[kept])
    assert not torch.isclose(reduced[[2, 6]], standard[[2, 6]]).all(1).any()
    losses = training.step()
    assert losses
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert recipe._pictured.own.tolist() == [0, 2, 4, 6]
