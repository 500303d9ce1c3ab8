"""Where a generator is computed. The device `meta` stands for another one: tensors there have no values."""

import gc
import weakref

import torch
from torch import nn

from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.device_copies import on_device

HERE, ELSEWHERE = torch.device("cpu"), torch.device("meta")


def generator_like(compact: Generator) -> Generator:
    return Generator(compact.info, nn.Linear(2, 2), compact.code_mean, compact.code_std, compact.code_lower)


def test_a_generator_that_is_there_is_the_one_that_is_used(compact: Generator) -> None:
    assert on_device(compact, HERE) is compact


def test_a_generator_is_used_elsewhere_and_stays_where_it_is(compact: Generator) -> None:
    copy = on_device(compact, ELSEWHERE)
    assert {tensor.device for tensor in (*copy.parameters(), *copy.buffers())} == {ELSEWHERE}
    assert {tensor.device for tensor in (*compact.parameters(), *compact.buffers())} == {HERE}
    assert not any(weight.requires_grad for weight in copy.parameters())
    assert on_device(compact, ELSEWHERE) is copy
    assert on_device(compact, HERE) is compact


def test_a_copy_goes_with_its_generator(compact: Generator) -> None:
    generator = generator_like(compact)
    copy = weakref.ref(on_device(generator, ELSEWHERE))
    del generator
    gc.collect()
    assert copy() is None
