"""What comes with the engine: the generator `default` and the eye, each beside its card."""

from importlib.resources import files
from pathlib import Path

EYE = "lite0-1"
"""The eye, by its id and version, as its file says. Whoever fits another one raises the version, and all is
embedded anew: embeddings of two eyes have nothing to do with each other and are never compared."""
DIMENSIONS = 128
"""Of every eye's embeddings, vectors of length 1; those of like pictures point alike ways."""


def shipped_generator() -> Path:
    """The file of the generator `default`. Packages are installed as plain files, so that this is one."""
    return Path(str(files(__name__) / "default.safetensors"))


def shipped_eye() -> Path:
    """The file of the eye by which pictures are compared."""
    return Path(str(files(__name__) / "eye.safetensors"))
