"""The error for weights that cannot be downloaded, in words that help."""

from worker.synthesis.sources.contract import NetworkError


def download_failed(id: str, where: str, cause: BaseException) -> NetworkError:
    """An error that says what could not be fetched, from where, and what to do without network access."""
    return NetworkError(
        f"{id}: its weights could not be downloaded from {where} ({cause}). Check this machine's network "
        "access; or load the network once where there is access and copy its cache (TORCH_HOME for "
        "torchvision, HF_HOME for timm); or register a safetensors file of the weights; or use "
        "efficientnet_lite0.imagenet, which needs no download."
    )
