"""Convolutions that torch computes slowly on a CPU, in one thread and in groups of a few pictures."""

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _Pointwise(torch.autograd.Function):
    """A 1×1 convolution as the product of two matrices, for frozen weights and channels last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        batch, _, height, width = x.shape
        shape = (batch, weight.shape[0], height, width)
        # Not a view of the product: what follows may work on it in place.
        y = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        factor = weight.flatten(1).T  # [C, O]
        if bias is None:
            torch.mm(_rows(x), factor, out=_rows(y))
        else:
            torch.addmm(bias, _rows(x), factor, out=_rows(y))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        batch, _, height, width = gradient.shape
        back = _rows(gradient) @ weight.flatten(1)  # [N·H·W, C]
        return back.view(batch, height, width, -1).permute(0, 3, 1, 2), None, None


def _rows(x: Tensor) -> Tensor:
    """[N, C, H, W] → [N·H·W, C], without a copy if channels are last in memory."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The 1×1 convolution of x [N, C, H, W] by a frozen weight [O, C, 1, 1]; channels are last in memory.

    torch computes it with a slow loop in one thread, unless there are 16 pictures or more.
    """
    y: Tensor = _Pointwise.apply(x, weight, bias)
    return y


class PointwiseConv2d(nn.Conv2d):
    """A 1×1 convolution that is computed so."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 4:
            return super().forward(input)
        return pointwise(input, self.weight, self.bias)


class _StridedDepthwise(torch.autograd.Function):
    """A depthwise convolution with frozen weights whose gradient is computed in float32."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: tuple[list[int], ...]
    ) -> Tensor:
        stride, padding, dilation = geometry
        ctx.save_for_backward(weight)
        ctx.shape, ctx.geometry = x.shape, geometry
        return F.conv2d(x, weight, bias, stride, padding, dilation, weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,) = ctx.saved_tensors
        stride, padding, dilation = ctx.geometry
        # Of the input only the shape is asked.
        like = torch.empty(
            ctx.shape, dtype=torch.float32, device=weight.device, memory_format=torch.channels_last
        )
        back, _, _ = torch.ops.aten.convolution_backward(
            gradient.float(),
            like,
            weight.float(),
            None,
            stride,
            padding,
            dilation,
            False,
            [0, 0],
            weight.shape[0],
            [True, False, False],
        )
        return back.to(weight.dtype), None, None, None


class StridedDepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that is computed so."""

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if isinstance(self, Conv2dSame):
            input = pad_same(input, list(self.kernel_size), list(self.stride), list(self.dilation))
            padding = (0, 0)
        geometry = (list(self.stride), list(padding), list(self.dilation))
        y: Tensor = _StridedDepthwise.apply(input, self.weight, self.bias, geometry)
        return y


class StridedDepthwiseConv2dSame(StridedDepthwiseConv2d, Conv2dSame):
    """The same with timm's padding."""


_STRIDED_DEPTHWISE: dict[type[nn.Conv2d], type[nn.Conv2d]] = {
    nn.Conv2d: StridedDepthwiseConv2d,
    Conv2dSame: StridedDepthwiseConv2dSame,
}


def suit_cpu(module: nn.Module, dtype: torch.dtype) -> None:
    """Change the class of a frozen network's convolutions that are slow otherwise; what they compute stays.

    With a step of more than one pixel, depthwise ones in bfloat16 have a gradient fifty times as slow as in
    float32.
    """
    for part in module.modules():
        if not isinstance(part, nn.Conv2d):
            continue
        depthwise = part.groups == part.in_channels == part.out_channels > 1
        if type(part) is nn.Conv2d and _is_pointwise(part):
            part.__class__ = PointwiseConv2d
        elif dtype != torch.float32 and depthwise and max(part.stride) > 1 and _pads_zeros(part):
            part.__class__ = _STRIDED_DEPTHWISE.get(type(part), type(part))


def _is_pointwise(conv: nn.Conv2d) -> bool:
    return (conv.kernel_size, conv.stride, conv.groups) == ((1, 1), (1, 1), 1) and (
        conv.padding in ("same", "valid", (0, 0))
    )


def _pads_zeros(conv: nn.Conv2d) -> bool:
    return conv.padding_mode == "zeros" and isinstance(conv.padding, tuple)
