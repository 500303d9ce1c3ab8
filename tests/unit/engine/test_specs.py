"""A digest names what determines a picture, and nothing else; the digests that are known never change."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imago_engine.objectives import TokenObjective, UnitObjective
from imago_engine.specs import Recipe, Spec
from imago_engine.techniques import technique_named

DGN_AM = technique_named("dgn-am")
SPEC = Spec(
    network="resnet18.a1_in1k",
    network_sha256="a" * 64,
    objective=UnitObjective(layer="layer4.1", unit=207, position=(2, 5)),
    technique="dgn-am",
    parameters=DGN_AM.settled({}),
    seed=0,
    version="1",
    source="b" * 64,
)


def test_the_digest_of_a_spec_never_changes() -> None:
    """If this fails, every picture that anyone has computed is lost to the cache: raise the technique's
    version instead.
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


def test_the_version_of_each_technique_is_the_one_that_its_pictures_are_named_by() -> None:
    assert (DGN_AM.version, technique_named("fourier").version, technique_named("pixel").version) == (
        "3",
        "3",
        "3",
    )


_HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
_PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.integers(1, 2000),
        "learning_rate": st.floats(0, 1000, exclude_min=True),
        "decay": st.floats(0, 1, exclude_min=True),
        "bounds": st.sampled_from(["sigma", "unit", "flat30", "none"]),
        "space": st.sampled_from(["plain", "whitened"]),
        "start": st.sampled_from(["normal", "half-normal", "prototype", "prototypes"]),
        "input_size": st.none() | st.integers(8, 1024),
        "jitter": st.integers(0, 64),
        "l2": st.floats(0, 1000),
    },
)


JOINED_LATER = {"direction_weight", "direction_codes", "direction_ridge", "start_spread", "precision"}
"""Parameters of dgn-am that the first specs did not have, and that are hashed only where they are used."""


def first_form(fields: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """A spec's JSON as it was before there were other techniques and objectives."""
    position = fields["position"]
    return {
        "engine": "3",
        "generator_sha256": fields["generator"],
        "layer": fields["layer"],
        "network": fields["network"],
        "network_sha256": fields["sha256"],
        "position": None if position is None else list(position),
        "recipe": {"technique": "dgn-am", "parameters": parameters},
        "seed": fields["seed"],
        "unit": fields["unit"],
    }


def hashed(value: object) -> tuple[str, str]:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text, hashlib.sha256(text.encode()).hexdigest()


@given(
    st.fixed_dictionaries(
        {
            "network": _NAMES,
            "sha256": _HASHES,
            "layer": _NAMES,
            "unit": st.integers(0, 10**6),
            "position": st.none() | st.tuples(st.integers(0, 500), st.integers(0, 500)),
            "generator": _HASHES,
            "seed": st.integers(0, 2**31 - 1),
        }
    ),
    _PARAMETERS,
)
def test_a_plain_unit_with_dgn_am_has_the_json_the_digest_and_the_batch_that_it_always_had(
    fields: dict[str, Any], chosen: dict[str, Any]
) -> None:
    parameters = DGN_AM.settled(chosen)
    spec = Spec(
        fields["network"],
        fields["sha256"],
        UnitObjective(layer=fields["layer"], unit=fields["unit"], position=fields["position"]),
        "dgn-am",
        parameters,
        fields["seed"],
        DGN_AM.version,
        fields["generator"],
    )
    parameters = {name: value for name, value in parameters.items() if name not in JOINED_LATER}
    text, digest = hashed(first_form(fields, parameters))
    assert (spec.canonical(), spec.digest) == (text, digest)
    unit, seed = fields["unit"], fields["seed"]
    assert list(spec.digests([unit], [seed])) == [(unit, seed, digest)]
    recipe = hashed({"technique": "dgn-am", "parameters": parameters})[1]
    assert spec.recipe.digest == recipe
    together = ["3", fields["sha256"], fields["network"], fields["layer"], fields["generator"], recipe]
    assert spec.batch_key == hashed(together)[1][:16]


@pytest.mark.parametrize(
    "change",
    [
        {"network": "resnet18.a2_in1k"},
        {"network_sha256": "c" * 64},
        {"objective": SPEC.objective.changed(layer="layer4.0")},
        {"objective": SPEC.objective.changed(unit=208)},
        {"objective": SPEC.objective.changed(position=None)},
        {"objective": SPEC.objective.changed(position=(5, 2))},
        {"objective": TokenObjective(layer="layer4.1", unit=207, token=2)},
        {"source": "c" * 64},
        {"source": None},
        {"start": "c" * 64},
        {"technique": "fourier"},
        {"parameters": {**SPEC.parameters, "steps": 199}},
        {"seed": 1},
        {"version": "2"},
    ],
    ids=str,
)
def test_any_change_changes_the_digest(change: dict[str, Any]) -> None:
    assert replace(SPEC, **change).digest != SPEC.digest


def test_what_is_absent_is_not_spelled_out() -> None:
    without = replace(SPEC, technique="fourier", parameters={"steps": 3}, source=None).as_json()
    assert not {"generator_sha256", "start_sha256", "objective"} & without.keys()


@pytest.mark.parametrize(
    "objective",
    [
        SPEC.objective,
        TokenObjective(layer="100%d", unit=1, token=9),
        *(
            UnitObjective(layer=name, unit=1)
            for name in ("%(seed)d", "%%(unit)d", "\0seed", '"seed":"\0seed"')
        ),
    ],
    ids=repr,
)
@pytest.mark.parametrize("start", [None, "d" * 64])
def test_the_digests_of_many_are_those_of_each(objective: UnitObjective, start: str | None) -> None:
    spec = replace(SPEC, objective=objective, start=start)
    units, seeds = [0, 7, 99_999], [0, 5, 2**31 - 1]
    each = [
        (unit, seed, replace(spec, objective=objective.changed(unit=unit), seed=seed).digest)
        for unit in units
        for seed in seeds
    ]
    assert list(spec.digests(units, seeds)) == each


@pytest.mark.parametrize(
    ("change", "together"),
    [
        ({"objective": SPEC.objective.changed(unit=3)}, True),
        ({"seed": 3}, True),
        ({"objective": SPEC.objective.changed(position=None)}, True),
        ({"objective": SPEC.objective.changed(layer="layer4.0")}, False),
        ({"network": "x.y"}, False),
        ({"source": "c" * 64}, False),
        ({"parameters": {**SPEC.parameters, "steps": 199}}, False),
        ({"version": "2"}, False),
    ],
    ids=str,
)
def test_a_batch_differs_in_unit_position_and_seed_only(change: dict[str, Any], together: bool) -> None:
    assert (replace(SPEC, **change).batch_key == SPEC.batch_key) is together


def test_the_recipe_of_a_technique_that_is_no_more_keeps_its_digest() -> None:
    recipe = Recipe("gone", {"a": 1})
    assert recipe.digest == hashed({"technique": "gone", "parameters": {"a": 1}})[1]
