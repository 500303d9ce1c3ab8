"""Running a network up to a layer: nothing after it runs, nothing stays behind, callers do not meet."""

import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import LayerError, Prefix


class Counting(nn.Module):
    """Passes its input on and counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return x


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("broken layer")


def test_layers_after_the_target_do_not_run() -> None:
    before, after = Counting(), Counting()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), before, nn.Conv2d(4, 5, 3), after)
    output = Prefix(network, "1")(torch.rand(2, 3, 8, 8))
    assert output.shape == (2, 4, 6, 6)
    assert (before.runs, after.runs) == (1, 0)


def test_the_output_is_that_of_the_whole_network_at_that_layer(lite0: Network) -> None:
    x = torch.rand(2, 3, 64, 64)
    kept: list[Tensor] = []
    handle = lite0.module.get_submodule("blocks.3.1").register_forward_hook(
        lambda module, inputs, output: kept.append(output.clone())
    )
    lite0.module(x)
    handle.remove()
    assert torch.equal(Prefix(lite0.module, "blocks.3.1")(x), kept[0])


def test_no_hook_stays_after_a_call_or_a_failure(hook_count: Callable[[nn.Module], int]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), Failing(), nn.ReLU())
    Prefix(network, "0")(torch.rand(1, 3, 8, 8))
    for layer in ("1", "2"):
        with pytest.raises(RuntimeError, match="broken layer"):
            Prefix(network, layer)(torch.rand(1, 3, 8, 8))
        with pytest.raises(RuntimeError, match="broken layer"):
            Prefix(network, layer).with_preactivation(torch.rand(1, 3, 8, 8))
    assert hook_count(network) == 0


def test_threads_that_share_a_network_get_their_own_layers(hook_count: Callable[[nn.Module], int]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(12))).eval()
    x = torch.rand(1, 3, 16, 16)
    layers = ["1", "5", "11", "3"]
    expected = {layer: Prefix(network, layer)(x).detach() for layer in layers}
    start = threading.Barrier(len(layers))
    wrong: list[str] = []

    def work(layer: str) -> None:
        prefix = Prefix(network, layer)
        start.wait()
        for _ in range(100):
            if not torch.allclose(prefix(x), expected[layer], atol=1e-6):
                wrong.append(layer)

    threads = [threading.Thread(target=work, args=(layer,)) for layer in layers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert hook_count(network) == 0


def test_a_network_that_catches_every_exception_is_still_cut_short() -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.rest = nn.Conv2d(3, 4, 3), Counting()

        def forward(self, x: Tensor) -> Tensor:
            try:
                x = self.conv(x)
            except Exception:
                x = torch.zeros(1)
            result: Tensor = self.rest(x)
            return result

    network = Careless()
    assert Prefix(network, "conv")(torch.rand(1, 3, 8, 8)).shape == (1, 4, 6, 6)
    assert network.rest.runs == 0


@pytest.mark.parametrize("inplace", [True, False])
def test_what_an_activation_function_was_given_is_kept_from_in_place_writing(inplace: bool) -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
    network = nn.Sequential(conv, nn.Sequential(norm, nn.ReLU(inplace))).eval()
    x = torch.rand(2, 3, 8, 8)
    output, before = Prefix(network, "1").with_preactivation(x)
    assert before is not None
    assert torch.allclose(before, norm(conv(x)))
    assert torch.equal(output, before.relu())
    output, before = Prefix(network, "1.1").with_preactivation(x)
    assert before is not None
    assert torch.equal(output, before.relu())


def test_an_activation_function_that_is_called_by_keyword_has_no_preactivation() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.relu(input=self.relu(x) - 0.5)
            return result

    x = torch.rand(1, 3, 8, 8)
    output, before = Prefix(nn.Sequential(Block()), "0").with_preactivation(x)
    assert before is None
    assert torch.equal(output, (x.relu() - 0.5).relu())


def test_a_layer_without_activation_function_has_no_preactivation() -> None:
    network = nn.Sequential(nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 3)))
    assert Prefix(network, "0").with_preactivation(torch.rand(1, 3, 8, 8)).before is None


def test_a_wrong_name_is_answered_with_names_close_to_it(lite0: Network) -> None:
    with pytest.raises(LayerError, match=r"blocks\.3\.7.*such as .*blocks\.3"):
        Prefix(lite0.module, "blocks.3.7")


def test_a_layer_that_is_never_run_is_an_error() -> None:
    class Idle(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(LayerError, match="not run"):
        Prefix(Idle(nn.ReLU()), "0")(torch.rand(1, 3, 8, 8))


def test_a_layer_that_gives_no_units_is_an_error() -> None:
    with pytest.raises(LayerError, match=r"\[1, 3, 64\], expected"):
        Prefix(nn.Sequential(nn.Flatten(2)), "0")(torch.rand(1, 3, 8, 8))
