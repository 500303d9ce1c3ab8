"""Where networks come from: one module a source, all behind `network_source.Source`."""

from difflib import get_close_matches

from imago_engine.networks import NetworkReference
from imago_engine.synthesis.sources.efficientnet_lite import EfficientNetLite
from imago_engine.synthesis.sources.network_source import Source, UnknownNetwork
from imago_engine.synthesis.sources.timm_hub import Timm
from imago_engine.synthesis.sources.torchvision_hub import Torchvision, not_classification, other_kind
from imago_engine.synthesis.sources.weights_file import WeightsFile

SOURCES: tuple[Source, ...] = (EfficientNetLite(), Torchvision(), Timm(), WeightsFile())


def source_named(name: str) -> Source:
    """The source of that name. Raises `UnknownNetwork`."""
    for source in SOURCES:
        if source.name == name:
            return source
    raise UnknownNetwork(f"source {name!r}: expected one of {', '.join(source.name for source in SOURCES)}")


def reference_by_id(id: str) -> NetworkReference:
    """The published network of an id. Raises `UnknownNetwork`, which names what would be accepted."""
    reference = NetworkReference.parse(id)
    if source_named(reference.source).knows(reference):
        return reference
    kind = other_kind(id.partition(".")[0])
    if kind is not None:
        raise UnknownNetwork(f"network {id!r}: {not_classification(kind)}")
    known = [known for source in SOURCES for known in source.ids()]
    # Other tags of the same architecture are the likeliest thing meant; then names that look alike.
    same_architecture = [other for other in known if other.split(".", 1)[0] == id.split(".", 1)[0]]
    close = (same_architecture or get_close_matches(id, known, n=5, cutoff=0.5))[:8]
    raise UnknownNetwork(
        f"network {id!r} is unknown. Expected ARCHITECTURE.TAG: an EfficientNet-lite "
        "(efficientnet_lite0.imagenet), a torchvision model with the name of its weights "
        "(resnet18.IMAGENET1K_V1), or a timm model with its pretrained tag (resnet18.a1_in1k)."
        + (f" Close to it: {', '.join(close)}." if close else "")
    )
