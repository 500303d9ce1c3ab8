import math

import pytest
import torch
import torch.nn.functional as F

from imago_engine.generators import GeneratorInfo, Pixels
from imago_engine.synthesis.generators.architectures import CAFFE_MEAN_BGR, Generator, build_network
from imago_engine.synthesis.generators.compact import (
    CompactNetwork,
    StyledNoise,
    StyledResidual,
    blurred,
)
from imago_engine.synthesis.generators.growing import grown

VECTOR_LAYERS = ["defc7", "defc6", "defc5"]
IMAGE_LAYERS = ["Rconv6", "Rconv7", "Rconv8"]
TRUNK_LAYERS = [
    "deconv5", "conv5_1", "deconv4", "conv4_1", "deconv3", "conv3_1", "deconv2", "deconv1", "deconv0",
]  # fmt: skip
CODES = {
    "deepsim-fc6": (4096,),
    "deepsim-fc7": (4096,),
    "deepsim-fc8": (1000,),
    "deepsim-pool5": (256, 6, 6),
}


def info_of(
    architecture: str, code_shape: tuple[int, ...], size: int = 256, **arguments: object
) -> GeneratorInfo:
    pixels: Pixels = "rgb_unit_tanh" if architecture == "compact" else "bgr_mean"
    return GeneratorInfo(architecture, arguments, code_shape, size, pixels, "net.tag", "fc6", "0" * 64)


def frozen(architecture: str, code_shape: tuple[int, ...], size: int = 256, **arguments: object) -> Generator:
    network = build_network(architecture, arguments)
    zeros, ones = torch.zeros(code_shape), torch.ones(code_shape)
    return Generator(info_of(architecture, code_shape, size, **arguments), network, zeros, ones, zeros)


@pytest.mark.parametrize(
    ("architecture", "millions"),
    [("deepsim-fc6", 56.1), ("deepsim-fc7", 56.1), ("deepsim-fc8", 43.4), ("deepsim-pool5", 12.7)],
)
def test_a_deepsim_generator_has_as_many_parameters_as_published(architecture: str, millions: float) -> None:
    with torch.device("meta"):
        network = build_network(architecture, {})
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(("architecture", "code_shape"), CODES.items())
def test_a_deepsim_generator_has_the_names_of_the_released_weights(
    architecture: str, code_shape: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        network = build_network(architecture, {})
        pixels = network(torch.zeros(2, *code_shape))
    first = IMAGE_LAYERS if architecture == "deepsim-pool5" else VECTOR_LAYERS
    assert set(network.state_dict()) == {f"{n}.{p}" for n in first + TRUNK_LAYERS for p in ("weight", "bias")}
    assert pixels.shape == (2, 3, 256, 256)


def test_a_deepsim_layer_has_the_released_layout() -> None:
    with torch.device("meta"):
        vector, image = build_network("deepsim-fc6", {}), build_network("deepsim-pool5", {})
    shapes = {name: tuple(tensor.shape) for name, tensor in vector.state_dict().items()}
    assert shapes["defc7.weight"] == (4096, 4096)
    assert shapes["deconv5.weight"] == (256, 256, 4, 4)  # transposed convolutions: [in, out, k, k]
    assert shapes["conv5_1.weight"] == (256, 512, 3, 3)
    assert shapes["deconv4.weight"] == (512, 256, 4, 4)
    assert shapes["conv4_1.weight"] == (256, 256, 3, 3)
    assert shapes["deconv3.weight"] == (256, 128, 4, 4)
    assert shapes["deconv0.weight"] == (32, 3, 4, 4)
    pooled = {name: tuple(tensor.shape) for name, tensor in image.state_dict().items()}
    assert pooled["Rconv6.weight"] == (512, 256, 3, 3)
    assert pooled["deconv5.weight"] == (512, 256, 4, 4)


def test_deepsim_weights_start_with_the_published_spread() -> None:
    torch.manual_seed(0)
    weights = build_network("deepsim-pool5", {}).state_dict()
    assert weights["Rconv7.weight"].std() == pytest.approx(0.9 * math.sqrt(2 / (512 * 9)), rel=0.02)
    assert weights["deconv5.weight"].std() == pytest.approx(1.8 * math.sqrt(2 / (512 * 16)), rel=0.02)
    assert not weights["deconv5.bias"].any()


def test_bgr_minus_mean_pixels_come_out_as_rgb_between_0_and_1() -> None:
    generator = frozen("deepsim-pool5", (256, 6, 6))
    for parameter in generator.network.parameters():
        parameter.zero_()
    blue, green, red = CAFFE_MEAN_BGR
    picture = generator(torch.zeros(1, 256, 6, 6))
    assert picture.shape == (1, 3, 256, 256)
    torch.testing.assert_close(picture[0, :, 100, 100], torch.tensor([red, green, blue]) / 255)


def test_a_compact_generator_makes_pictures_between_0_and_1() -> None:
    generator = frozen("compact", (20,), 32, code_size=20, widths=(16, 8, 8), depths=(1, 1, 1))
    picture = generator(torch.randn(3, 20) * 10)
    assert picture.shape == (3, 3, 32, 32)
    assert 0 <= picture.min() < picture.max() <= 1


def test_a_code_gives_the_same_picture_alone_and_among_others_also_after_a_call_of_train() -> None:
    generator = frozen("compact", (20,), 32, code_size=20, widths=(16, 8, 8), depths=(1, 1, 1)).train()
    codes = torch.randn(8, 20)
    torch.testing.assert_close(generator(codes)[3:4], generator(codes[3:4]))
    assert not generator.training
    assert not any(p.requires_grad for p in generator.parameters())


def test_a_code_of_any_shape_can_be_inverted_by_a_compact_generator() -> None:
    network = CompactNetwork(4 * 2 * 2, widths=(16, 8), depths=(1, 1))
    assert network(torch.randn(2, 4, 2, 2)).shape == (2, 3, 16, 16)


def test_a_code_with_places_sets_the_style_by_its_mean_and_each_part_by_its_place() -> None:
    network = CompactNetwork(8, widths=(16, 8), depths=(1, 1), places=2).eval()
    code = torch.randn(1, 8, 2, 2)
    turned = code.flip(2, 3)
    # It begins as a generator of codes without places.
    torch.testing.assert_close(network(code), network(turned))
    assert network.place is not None
    torch.nn.init.normal_(network.place.weight)
    assert not torch.allclose(network(code), network(turned), atol=1e-2)


def test_noise_needs_blurred_upsamplings_to_stand_in_for() -> None:
    with pytest.raises(ValueError, match="subpixel"):
        CompactNetwork(8, widths=(16, 8, 8), depths=(1, 1, 1), noise=True)


def test_a_grown_network_draws_the_same_pictures_enlarged_and_softer() -> None:
    torch.manual_seed(0)
    small = CompactNetwork(8, widths=(16, 8), depths=(1, 1), finish=4).eval()
    large = CompactNetwork(8, widths=(16, 8), depths=(1, 1), finish=6, subpixel=True).eval()
    large.load_state_dict(grown(small.state_dict(), large))
    codes = torch.randn(8, 8)
    coarse, drawn = (
        F.avg_pool2d(pictures, size) for pictures, size in ((small(codes), 4), (large(codes), 8))
    )
    assert drawn.shape == (8, 3, 4, 4)
    assert (drawn - coarse).abs().mean() < 0.2 * (drawn - coarse.roll(1, 0)).abs().mean()


def test_the_grain_of_a_grown_network_is_gone() -> None:
    torch.manual_seed(0)
    small = CompactNetwork(8, widths=(16, 8), depths=(1, 1), finish=4).eval()
    assert small.last_up.bias is not None
    with torch.no_grad():  # what the four pixels of each shuffle differ by
        small.last_up.bias.copy_(torch.tensor([1.0, -1.0, -1.0, 1.0]).repeat(4))
    large = CompactNetwork(8, widths=(16, 8), depths=(1, 1), finish=4, subpixel=True).eval()
    large.load_state_dict(grown(small.state_dict(), large))

    def grain(pictures: torch.Tensor, period: int) -> torch.Tensor:
        """How far pictures differ from themselves moved by half a period of the pattern, along a row."""
        inner = pictures[..., 4:-4, 4:-4]
        return (inner - inner.roll(period // 2, -1)).abs().mean()

    code = torch.zeros(1, 8)
    assert grain(large(code), 4) < 0.2 * grain(small(code), 2)


def test_what_alternates_from_pixel_to_pixel_is_smoothed_away_and_nothing_else() -> None:
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    grain = ((rows + columns) % 2).float().expand(1, 2, 8, 8)
    torch.testing.assert_close(blurred(grain)[..., 1:-1, 1:-1], torch.full((1, 2, 6, 6), 0.5))
    slope = rows.float().expand(1, 2, 8, 8)
    torch.testing.assert_close(blurred(slope)[..., 1:-1, 1:-1], slope[..., 1:-1, 1:-1])
    plain = torch.tensor([0.3, -0.7]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    torch.testing.assert_close(blurred(plain), plain)  # up to its borders


def flat(noise: bool) -> CompactNetwork:
    """A network whose pictures have one colour, until a test adds something."""
    torch.manual_seed(0)
    network = CompactNetwork(8, (16, 8, 8), (1, 1, 1), finish=4, subpixel=True, noise=noise).eval()
    network.start.weight.data.zero_()
    network.start.bias.data.copy_(torch.randn(16).repeat_interleave(16))
    silence(network)
    return network.requires_grad_(False)


def inner(picture: torch.Tensor) -> torch.Tensor:
    """Away from the borders, where convolutions see zeros."""
    return picture[..., 20:-20, 20:-20]


@pytest.mark.parametrize("noise", [False, True])
def test_with_noise_what_the_upsampling_of_an_eighth_makes_of_one_place_leaves_no_grain(noise: bool) -> None:
    network, code = flat(noise), torch.zeros(1, 8)
    assert inner(network(code)).std((2, 3)).amax() < 1e-6
    assert isinstance(network.ups[0], torch.nn.Conv2d)
    network.ups[0].weight.normal_()
    assert (inner(network(code)).std((2, 3)).amax() < 1e-3) == noise


@pytest.mark.parametrize("stage", ["1", "2", "3"])
def test_noise_is_irregular_follows_the_style_and_is_the_same_every_time(stage: str) -> None:
    network, codes = flat(noise=True), torch.randn(2, 8)
    noise = network.noises[stage]
    assert isinstance(noise, StyledNoise)
    noise.strength.weight.normal_()
    first, second = inner(network(codes))
    torch.testing.assert_close(inner(network(codes[:1]))[0], first)
    grains = [(picture - picture.mean((1, 2), keepdim=True)).flatten() for picture in (first, second)]
    assert min(grain.abs().amax() for grain in grains) > 1e-3
    assert not torch.allclose(grains[0], grains[1], rtol=0.1)
    for period in (4, 8, 16):  # of the grains that upsamplings leave
        moved = first.roll(period, -1)[..., period:]
        assert torch.corrcoef(torch.stack([moved.flatten(), first[..., period:].flatten()]))[0, 1] < 0.9


def test_noise_is_moved_around_its_edges_for_each_picture_of_a_training() -> None:
    torch.manual_seed(0)
    noise = StyledNoise(2, style=3, size=8)
    noise.strength.bias.data.fill_(1)
    x, style = torch.zeros(2, 2, 8, 8), torch.zeros(2, 3)
    moved = noise(x, style, torch.tensor([[0.0, 0.0], [0.25, 0.99]]))
    torch.testing.assert_close(moved[:1], noise(x[:1], style[:1]))
    torch.testing.assert_close(moved[1, 0], noise.map.roll((-2, -7), (0, 1)))


def test_with_refinement_each_place_says_how_much_noise_it_has() -> None:
    torch.manual_seed(0)
    noise = StyledNoise(2, style=3, size=8, by_place=True)
    x, style = torch.zeros(1, 2, 8, 8), torch.zeros(1, 3)
    x[..., 4:] = 1
    assert torch.equal(noise(x, style), x)
    assert noise.by_place is not None
    noise.by_place.weight.data.fill_(0.5)
    grain = noise(x, style) - x
    assert not grain[..., :4].any()
    torch.testing.assert_close(grain[0, 0, :, 4:], noise.map[:, 4:])


def test_a_refined_network_begins_as_one_that_is_not() -> None:
    plain, more = (
        CompactNetwork(8, (16, 8, 8), (1, 1, 1), finish=4, subpixel=True, noise=True, refined=r).eval()
        for r in (False, True)
    )
    missing = more.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert {name.split(".")[0] for name in missing} == {"noises", "refining"}
    codes = torch.randn(2, 8)
    torch.testing.assert_close(more(codes), plain(codes))
    with pytest.raises(ValueError, match="refined goes with noise"):
        CompactNetwork(8, widths=(16, 8, 8), depths=(1, 1, 1), refined=True)


@pytest.mark.parametrize("smooth", [False, True])
def test_places_of_a_smooth_network_pass_into_each_other_without_a_seam(smooth: bool) -> None:
    torch.manual_seed(0)
    network = CompactNetwork(8, (16, 8, 8), (1, 1, 1), places=2, smooth=smooth).eval().requires_grad_(False)
    assert network.place is not None
    torch.nn.init.normal_(network.place.weight)
    silence(network)
    code = torch.randn(4, 8, 2, 2)
    rows = network(code).diff(dim=2).abs().mean((0, 1, 3))  # a number for each two neighbouring rows
    middle = rows[len(rows) // 2 - 4 : len(rows) // 2 + 4].amax()
    assert (middle > 3 * rows.mean()) == (not smooth)


def silence(network: CompactNetwork) -> None:
    """Let its blocks add nothing: only upsamplings draw."""
    for block in network.blocks:
        assert isinstance(block, StyledResidual)
        for conv in block.convs:
            assert isinstance(conv, torch.nn.Conv2d)
            conv.weight.data.zero_()


def test_gradients_reach_the_code() -> None:
    generator = frozen("compact", (20,), 32, code_size=20, widths=(16, 8, 8), depths=(1, 1, 1))
    code = torch.randn(2, 20, requires_grad=True)
    generator(code).sum().backward()
    assert code.grad is not None
    assert (code.grad.abs().sum(1) > 0).all()


def test_a_code_of_the_wrong_shape_is_refused_with_the_right_one() -> None:
    generator = frozen("compact", (20,), 32, code_size=20, widths=(16, 8, 8), depths=(1, 1, 1))
    with pytest.raises(ValueError, match=r"expected a code of shape \[N, 20\], got \[2, 30\]"):
        generator(torch.zeros(2, 30))


def test_statistics_that_do_not_fit_the_code_are_refused() -> None:
    network = CompactNetwork(20, widths=(16, 8), depths=(1, 1))
    with pytest.raises(ValueError, match="code_std must have the code's shape"):
        Generator(info_of("compact", (20,), 16), network, torch.zeros(20), torch.ones(21), torch.zeros(20))


def test_an_unknown_architecture_or_argument_is_refused_with_what_would_be_accepted() -> None:
    with pytest.raises(ValueError, match="expected one of compact, deepsim-fc6"):
        build_network("stylegan", {})
    with pytest.raises(ValueError, match="not \\['colour'\\]"):
        build_network("compact", {"colour": 1})
