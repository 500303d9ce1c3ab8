"""A digest names what determines a picture, and nothing else."""

from dataclasses import replace

import pytest

from services.recipes import resolve
from services.spec import Spec, canonical_position

SPEC = Spec(
    network="resnet18.a1_in1k",
    network_sha256="a" * 64,
    layer="layer4.1",
    unit=207,
    position=(2, 5),
    generator_sha256="b" * 64,
    recipe=resolve({}, {}),
    seed=0,
    engine="1",
)


def test_the_digest_of_a_spec_never_changes() -> None:
    """If this fails, every picture that anyone has computed is lost to the cache: raise ENGINE_VERSION
    instead.
    """
    assert SPEC.canonical() == (
        '{"engine":"1","generator_sha256":"' + "b" * 64 + '","layer":"layer4.1","network":"resnet18.a1_in1k",'
        '"network_sha256":"' + "a" * 64 + '","position":[2,5],"recipe":{"parameters":{"bounds":"sigma",'
        '"bounds_k":3.0,"decay":0.99,"fit":"auto","input_size":null,"jitter":0,"l2":0.0,"learning_rate":8.0,'
        '"learning_rate_end":1e-10,"momentum":0.0,"radius":1.2,"space":"plain","start":"normal","steps":200,'
        '"zoom":1.0},"technique":"dgn-am"},'
        '"seed":0,"unit":207}'
    )
    assert SPEC.digest == "e0a91cce5c7bf6f69cc65a167a6bba5aee74d7e9fdb31a433a4a2fa792a9c06c"


@pytest.mark.parametrize(
    "change",
    [
        {"network": "resnet18.a2_in1k"},
        {"network_sha256": "c" * 64},
        {"layer": "layer4.0"},
        {"unit": 208},
        {"position": None},
        {"position": (5, 2)},
        {"generator_sha256": "c" * 64},
        {"recipe": resolve({"parameters": {"steps": 199}}, {})},
        {"seed": 1},
        {"engine": "2"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_change_changes_the_digest(change: dict[str, object]) -> None:
    assert replace(SPEC, **change).digest != SPEC.digest  # type: ignore[arg-type]


def test_the_digests_of_many_are_those_of_each() -> None:
    units, seeds = [0, 7, 99_999], [0, 5, 2**31 - 1]
    each = [(u, s, replace(SPEC, unit=u, seed=s).digest) for u in units for s in seeds]
    assert list(SPEC.digests(units, seeds)) == each


@pytest.mark.parametrize(
    ("change", "together"),
    [
        ({"unit": 3}, True),
        ({"seed": 3}, True),
        ({"position": None}, True),
        ({"layer": "layer4.0"}, False),
        ({"network": "x.y"}, False),
        ({"generator_sha256": "c" * 64}, False),
        ({"recipe": resolve({"parameters": {"steps": 199}}, {})}, False),
        ({"engine": "2"}, False),
    ],
)
def test_a_batch_differs_in_unit_position_and_seed_only(change: dict[str, object], together: bool) -> None:
    assert (replace(SPEC, **change).batch_key == SPEC.batch_key) is together  # type: ignore[arg-type]


def test_the_default_position_has_one_spelling() -> None:
    assert canonical_position((3, 3), 7, 7) is None
    assert canonical_position((2, 3), 4, 6) is None
    assert canonical_position((3, 2), 4, 6) == (3, 2)
    assert canonical_position((0, 0), 1, 1) is None
    assert canonical_position(None, 7, 7) is None
