"""What a Hugging Face cache looks like after a download, with random weights in it."""

from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor


def hub_cache(monkeypatch: pytest.MonkeyPatch, folder: Path, id: str) -> dict[str, Tensor]:
    """Put weights of the timm network `id` into a cache below `folder`, which is then the only one there is;
    nothing is asked of any network. Returns the tensors."""
    torch.manual_seed(0)
    state = dict(timm.create_model(id.partition(".")[0], pretrained=False).state_dict())
    repository = folder / f"models--timm--{id}"
    revision = "0" * 40
    snapshot = repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    save_file(state, snapshot / "model.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return state
