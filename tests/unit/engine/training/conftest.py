"""A small training on drawn pictures: 32 pixels, a thin generator, and EfficientNet-lite0 as it is."""

import copy
import functools
import io
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from imago_engine.networks import NetworkReference
from imago_engine.synthesis.sources.efficientnet_lite import EfficientNetLite
from imago_engine.synthesis.sources.network_source import LoadedNetwork
from imago_engine.training.data.encoder import Encoder
from imago_engine.training.data.preparation import Limits, Prepared, load_prepared, prepare
from imago_engine.training.data.sources import RawPicture
from imago_engine.training.recipes import read_options
from imago_engine.training.recipes.projected import ProjectedOptions, ProjectedRecipe
from imago_engine.training.run.loading import load_encoder, new_training
from imago_engine.training.run.placement import Placement
from imago_engine.training.run.schedule import Schedule
from imago_engine.training.run.training import Training


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # so small a training gains nothing by more, and loses much on a busy machine


_loaded = functools.cache(EfficientNetLite().load)


def _copied(_: EfficientNetLite, reference: NetworkReference) -> LoadedNetwork:
    loaded = _loaded(reference)
    return replace(loaded, module=copy.deepcopy(loaded.module))


@pytest.fixture(autouse=True)
def _read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """EfficientNet-lite0 is read from its file once; whoever loads it gets a copy, for folding changes it."""
    monkeypatch.setattr(EfficientNetLite, "load", _copied)


def drawn(seed: int, size: tuple[int, int] = (48, 40)) -> bytes:
    """A PNG of a coloured disc on a coloured ground."""
    random = np.random.default_rng(seed)
    ground, disc = random.integers(0, 256, (2, 3))
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    inside = (x - random.integers(10, 30)) ** 2 + (y - random.integers(10, 30)) ** 2 < random.integers(
        20, 200
    )
    pixels = np.where(inside[..., None], disc, ground).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def picture_bytes() -> Callable[[int], bytes]:
    return drawn


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return load_encoder("efficientnet_lite0.imagenet", "global_pool", 32)


@pytest.fixture(scope="session")
def prepared(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared")
    pictures = (RawPicture(str(i), drawn(i)) for i in range(60))
    limits = Limits(held_out=8, minimum=16)
    prepare(folder, pictures, encoder, image_size=32, sources=("drawn",), limits=limits)
    return load_prepared(folder)


OPTIONS = ProjectedOptions(batch=8, feature_size=32, widths=(24, 16, 8), depths=(1, 1, 1))


@pytest.fixture
def small_training(prepared: Prepared) -> Callable[..., Training]:
    """Builds a training of the default recipe; options may be given."""

    def build(placement: Placement | None = None, **options: Any) -> Training:
        schedule = Schedule(pictures=10_000, warmup=0)
        chosen = read_options(ProjectedOptions, {**dict(OPTIONS), **options})
        return new_training(prepared, ProjectedRecipe, chosen, schedule, placement)

    return build


@pytest.fixture
def file_size_limit() -> Callable[[int], AbstractContextManager[None]]:
    """A full disk: inside, the kernel lets no file of this process grow past so many bytes. (Python ignores
    the signal that comes with it.)
    """

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
