"""The generator that comes with the engine, `default`, beside its model card."""

from importlib.resources import files
from pathlib import Path


def shipped_generator() -> Path:
    """The file of the generator `default`. Packages are installed as plain files, so that this is one."""
    return Path(str(files(__name__) / "default.safetensors"))
