"""Small networks as people write them themselves, for what inspection makes of their structure."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 11


def conv_group(given: int, made: int) -> nn.Sequential:
    """A convolution with its norm and activation."""
    return nn.Sequential(nn.Conv2d(given, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU(inplace=True))


class ResidualBySum(nn.Module):
    """Whose residual sums are in the network's own code, around plain sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv_group(3, 8), conv_group(8, 16)
        self.res = nn.Sequential(conv_group(16, 16), conv_group(16, 16))
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(F.max_pool2d(self.conv1(x), 2))
        x = self.res(x) + x
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


class Double(nn.Module):
    """Two convolutions in a class of their own."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.net = nn.Sequential(*conv_group(given, made), *conv_group(made, made))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class Doubles(nn.Module):
    """A plain chain of blocks of one class."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = Double(3, 8), Double(8, 16), Double(16, 32)
        self.fc = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.second(F.max_pool2d(self.first(x), 2)), 2)
        logits: Tensor = self.fc(self.third(x).mean((2, 3)))
        return logits


class UNet(nn.Module):
    """Whose every block is led around by a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.inc, self.down, self.deep = Double(3, 8), Double(8, 16), Double(16, 32)
        self.up, self.last = Double(48, 16), Double(24, 8)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        first = self.inc(x)
        second = self.down(F.max_pool2d(first, 2))
        third = self.deep(F.max_pool2d(second, 2))
        up = self.up(torch.cat([F.interpolate(third, scale_factor=2.0), second], 1))
        last = self.last(torch.cat([F.interpolate(up, scale_factor=2.0), first], 1))
        logits: Tensor = self.fc(last.mean((2, 3)))
        return logits


class Wrapped(nn.Module):
    """Another network behind a preprocessing of its own."""

    mean: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5))
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x - self.mean)
        return out


class EncoderLayer(nn.Module):
    """A transformer's block that returns a tuple, as some libraries' do; the last of its own modules adds
    the residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.widen, self.output = nn.Linear(width, 4 * width), AddedTo(4 * width, width)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, normed)[0]
        return (self.output(F.gelu(self.widen(self.norm2(x))), x),)


class AddedTo(nn.Module):
    """A linear layer whose result is added to its second input."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.dense = nn.Linear(given, made)

    def forward(self, x: Tensor, to: Tensor) -> Tensor:
        out: Tensor = self.dense(x) + to
        return out


class Encoder(nn.Module):
    """A vision transformer of such blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.layers = nn.ModuleList(EncoderLayer(16) for _ in range(3))
        self.norm, self.classes = nn.LayerNorm(16), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)[0]
        logits: Tensor = self.classes(self.norm(x).mean(1))
        return logits
