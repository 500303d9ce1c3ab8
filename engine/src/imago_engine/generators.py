"""Generators as everybody describes them, and their description in the header of their file.

A generator is one safetensors file. Its description is read here without its weights: whoever registers a
file need not load torch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

KEY, VERSION = "imago-generator", 1
"""The file's metadata has one key; its value is JSON, {"version": 1, "info": the fields of GeneratorInfo}."""
_LONGEST_HEADER = 16 << 20

Pixels = Literal["rgb_unit_tanh", "bgr_mean"]


class GeneratorFileError(ValueError):
    """A file is not a generator of ours; the message says what was expected and what was found."""


@dataclass(frozen=True)
class GeneratorInfo:
    """What a generator is, apart from its weights."""

    architecture: str
    """Name of one of `synthesis.generators.architectures`."""
    arguments: dict[str, Any]
    """What the architecture is made with."""
    code_shape: tuple[int, ...]
    """Of one code, without the batch: (C,) or (C, H, W)."""
    image_size: int
    """Pixels, the side of its square pictures."""
    pixels: Pixels
    """What the network puts out: "rgb_unit_tanh" is RGB in [−1, 1]; "bgr_mean" is BGR in [0, 255] minus the
    Caffe mean."""
    encoder: str
    """Id of the network whose codes it inverts."""
    encoder_layer: str
    """Dotted name of the layer that gives the codes."""
    encoder_sha256: str
    """Of the encoder's weights."""
    recommended: dict[str, Any] = field(default_factory=dict)
    """Recipe parameters that suit it."""
    training: dict[str, Any] = field(default_factory=dict)
    """Free text and figures about how it was made."""
    prior: dict[str, int] = field(default_factory=dict)
    """Counts what the file knows of real codes, {"directions", "prototypes"} and perhaps "samples"; empty
    where it knows nothing.
    Whoever saves the file writes it."""

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "GeneratorInfo":
        """From the JSON of a file. Raises TypeError, KeyError or ValueError where it is none."""
        return cls(**{**described, "code_shape": tuple(int(n) for n in described["code_shape"])})


def read_description(path: Path) -> dict[str, Any]:
    """The fields of a file's `GeneratorInfo`, as JSON. Raises `GeneratorFileError`.

    A safetensors file begins with the length of its header, 8 bytes little-endian, and the header, JSON.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            # Compared before it is allocated: any file can begin with any number.
            if not 0 < length <= min(_LONGEST_HEADER, path.stat().st_size - 8):
                raise ValueError("it has no header")
            metadata = json.loads(file.read(length)).get("__metadata__", {})
    except (OSError, ValueError, AttributeError) as error:
        raise GeneratorFileError(f"{path} is not a readable safetensors file: {error}") from error
    if not isinstance(metadata, dict) or KEY not in metadata:
        keys = sorted(metadata) if isinstance(metadata, dict) else metadata
        raise GeneratorFileError(
            f"{path}: expected the metadata key {KEY!r} of a generator file, got {keys!r:.200}"
        )
    try:
        described = json.loads(metadata[KEY])
        version, info = described["version"], described["info"]
    except (KeyError, TypeError, ValueError) as error:
        raise GeneratorFileError(f"{path}: its metadata does not describe a generator: {error!r}") from error
    if version != VERSION:
        raise GeneratorFileError(f"{path}: expected a generator file of version {VERSION}, got {version!r}")
    if not isinstance(info, dict):
        raise GeneratorFileError(f"{path}: its metadata does not describe a generator: {info!r:.80}")
    return info
