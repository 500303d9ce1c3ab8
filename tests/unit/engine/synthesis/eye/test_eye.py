"""The shipped eye: its file says what the words say, and pictures that look alike have like embeddings."""

from pathlib import Path

import numpy as np
import pytest
import torch

from imago_engine.synthesis.eye.eye import Eye, EyeError, load_eye, read_eye, save_eye
from imago_engine.synthesis.generators.files import load_generator
from imago_engine.synthesis.stored_pixels import as_images, to_bytes
from imago_engine.weights import DIMENSIONS, EYE, shipped_eye, shipped_generator


@pytest.fixture(scope="module")
def eye() -> Eye:
    return load_eye()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """What the shipped generator makes of six of its prototypes."""
    generator = load_generator(shipped_generator())
    assert generator.prior is not None
    with torch.inference_mode():
        rgb = generator.rgb(generator(generator.prior.code(generator.prior.prototypes[:60:10].float())))
    return list(as_images(to_bytes(rgb)))


def test_the_shipped_file_is_the_eye_that_the_words_name() -> None:
    info, _, axes = read_eye(shipped_eye())
    assert info.name == EYE
    assert len(axes) == DIMENSIONS


def test_a_picture_is_likest_itself_mirrored_darker_or_at_another_size(
    eye: Eye, pictures: list[np.ndarray]
) -> None:
    changed = [
        [picture[:, ::-1] for picture in pictures],
        [(picture * 0.8).astype(np.uint8) for picture in pictures],
        [picture[::2, ::2] for picture in pictures],
    ]
    own = eye(pictures)
    for others in changed:
        assert ((own @ eye(others).T).argmax(1) == np.arange(len(pictures))).all()


def test_embeddings_have_length_1_and_depend_on_no_other_picture(
    eye: Eye, pictures: list[np.ndarray]
) -> None:
    together = eye(pictures)
    assert together.shape == (len(pictures), DIMENSIONS)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together[2:3], eye(pictures[2:3]), atol=1e-4)
    assert eye([]).shape == (0, DIMENSIONS)


def test_a_file_keeps_its_bytes_and_what_is_none_is_refused(tmp_path: Path) -> None:
    info, mean, axes = read_eye(shipped_eye())
    save_eye(tmp_path / "again.safetensors", info, mean, axes)
    assert (tmp_path / "again.safetensors").read_bytes() == shipped_eye().read_bytes()
    save_eye(tmp_path / "short.safetensors", info, mean, axes[:5])
    with pytest.raises(EyeError, match="expected mean"):
        read_eye(tmp_path / "short.safetensors")
    with pytest.raises(EyeError, match="not the file of an eye"):
        read_eye(shipped_generator())
