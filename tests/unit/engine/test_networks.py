"""Ids of networks are parsed in one place, by their form."""

import pytest

from imago_engine.networks import NetworkReference, Preprocessing, Stated


@pytest.mark.parametrize(
    ("id", "source", "architecture", "tag"),
    [
        ("efficientnet_lite0.imagenet", "efficientnet-lite", "efficientnet_lite0", "imagenet"),
        ("tf_efficientnet_lite0.in1k", "timm", "tf_efficientnet_lite0", "in1k"),
        ("resnet18.IMAGENET1K_V1", "torchvision", "resnet18", "IMAGENET1K_V1"),
        ("resnet18.a1_in1k", "timm", "resnet18", "a1_in1k"),
        ("vit_base.augreg.extra", "timm", "vit_base", "augreg.extra"),
        ("resnet18", "timm", "resnet18", ""),
    ],
)
def test_an_id_tells_its_source_its_architecture_and_its_tag(
    id: str, source: str, architecture: str, tag: str
) -> None:
    found = NetworkReference.parse(id)
    assert (found.id, found.source, found.architecture, found.tag) == (id, source, architecture, tag)


def test_what_is_stated_goes_before_what_was_found() -> None:
    found = Preprocessing(224, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), bgr=True)
    assert Stated().over(found) == found
    assert Stated(size=64, bgr=False).over(found) == Preprocessing(64, found.mean, found.std, bgr=False)
