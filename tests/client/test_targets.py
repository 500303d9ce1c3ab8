"""How targets are written, and what is said of those that are not."""

import pytest

from imago.errors import InvalidRequest
from imago.targets import Target, collect, expand_units, parse_target, parse_unit, parse_units


def test_network_ids_and_layer_names_keep_their_dots() -> None:
    network, target = parse_target("resnet18.IMAGENET1K_V1/layer4.1.conv2/0-11,207")
    assert network == "resnet18.IMAGENET1K_V1"
    assert target == Target("layer4.1.conv2", "0-11,207")


def test_a_position_is_row_then_column() -> None:
    _, target = parse_target("net.a/blocks.3/5@3,12")
    assert target == Target("blocks.3", "5", position=(3, 12))
    assert target.as_json() == {"layer": "blocks.3", "units": "5", "position": [3, 12]}


def test_one_number_is_a_token() -> None:
    _, target = parse_target("net.a/blocks.3/5-7@12")
    assert target == Target("blocks.3", "5-7", token=12)
    assert target.as_json() == {"layer": "blocks.3", "units": "5-7", "token": 12}


@pytest.mark.parametrize("name", ["volcano", "tench, Tinca tinca", "apartment_building/outdoor", "火山"])
def test_the_name_of_a_class_is_left_to_the_server(name: str) -> None:
    assert parse_target(f"net.a/output/{name}") == ("net.a", Target("output", name))
    assert collect([f"output/{name}"]) == collect({"output": name}) == [Target("output", name)]


@pytest.mark.parametrize("words", ["::4", "0-99:4,207", "sample:64@7"])
def test_units_in_words_that_the_server_reads_are_left_to_it(words: str) -> None:
    assert parse_target(f"net.a/blocks.3/{words}") == ("net.a", Target("blocks.3", words))
    assert parse_target(f"net.a/blocks.3/{words}@3,5")[1] == Target("blocks.3", words, position=(3, 5))
    assert parse_target(f"net.a/blocks.3/{words}@9")[1] == Target("blocks.3", words, token=9)


def test_a_target_without_a_position_leaves_the_choice_to_the_server() -> None:
    assert Target("output", (1, 2)).as_json() == {"layer": "output", "units": [1, 2]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("net.a/output", "NETWORK/LAYER/UNITS"),
        ("net.a//3", "NETWORK/LAYER/UNITS"),
        ("net.a/output/", "NETWORK/LAYER/UNITS"),
        ("net.a/output/-3", "0-11,207"),
        ("net.a/output/3,,4", "0-11,207"),
        ("net.a/output/9-3", "3-9"),
        ("net.a/output/9-3:2", "3-9"),
        ("net.a/output/::0", "counts by 0"),
        ("net.a/output/0-9:0", "counts by 0"),
        ("net.a/output/sample:", "sample:64@7"),
        ("net.a/output/4:2", "0-99:4"),
        ("net.a/output/3@5,", "@ROW,COLUMN"),
        ("net.a/output/3@", "@TOKEN"),
        ("net.a/output/3@-1", "@TOKEN"),
        ("net.a/output/3@x,y", "@ROW,COLUMN"),
    ],
)
def test_a_wrong_target_is_answered_with_what_would_be_right(text: str, told: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_target(text)
    assert told in str(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "units", ["all", "::4", "0-99:4", "sample:64", "sample:64@7", "0-3,::10,sample:8@1,90-99:3"]
)
@pytest.mark.parametrize(
    "layer", ["blocks", "convolutions", "all", "blocks.2.*", "conv_stem,blocks.?.?,output"]
)
def test_words_for_layers_and_units_are_passed_on(layer: str, units: str) -> None:
    assert parse_target(f"net.a/{layer}/{units}") == ("net.a", Target(layer, units))
    assert collect({layer: units}) == [Target(layer, units)]


def test_the_seed_of_a_sample_comes_before_a_place() -> None:
    assert parse_target("net.a/blocks/sample:8@7@3,5")[1] == Target("blocks", "sample:8@7", (3, 5))
    assert parse_target("net.a/blocks/sample: 8 @ 7 @ 2")[1] == Target("blocks", "sample:8@7", token=2)
    assert parse_target("net.a/blocks/::4@2")[1] == Target("blocks", "::4", token=2)


def test_blanks_in_units_do_not_matter() -> None:
    assert parse_units(" 0 - 11, 207 ", where="x") == "0-11,207"


def test_units_expand_ascending_and_once_each() -> None:
    assert expand_units("207,0-3,2") == [0, 1, 2, 3, 207]


def test_what_depends_on_the_layer_expands_with_its_number_of_units() -> None:
    assert expand_units("0-9:4,::5", 12) == [0, 4, 5, 8, 10]
    assert expand_units("all", 3) == [0, 1, 2]
    for units in ("all", "::5", "sample:4"):
        with pytest.raises(InvalidRequest, match="0-11,207"):
            expand_units(units)
    with pytest.raises(InvalidRequest, match="'sample:4@1' means other units"):
        expand_units("0,sample:4@1", 9)


def test_ranges_are_spread_as_far_as_layers_may_go() -> None:
    assert len(expand_units("0-999999")) == 1_000_000
    for units in ("0-1000000", "0-9999999999", "0-999999,2000000"):
        with pytest.raises(InvalidRequest, match="1,000,000"):
            expand_units(units)
    for units in ("9" * 11, f"0-{'9' * 5000}"):
        with pytest.raises(InvalidRequest, match="more than 10 digits"):
            parse_units(units, where="x")
    with pytest.raises(InvalidRequest, match="is not a unit"):
        parse_unit(f"net.a/output/{'9' * 5000}")
    with pytest.raises(InvalidRequest, match="a place is"):
        parse_target(f"net.a/blocks/7@{'9' * 5000}")


def test_one_unit_is_read_from_its_path() -> None:
    assert parse_unit("net.a/output/207") == ("net.a", "output", 207)
    with pytest.raises(InvalidRequest, match="NETWORK/LAYER/UNIT"):
        parse_unit("net.a/output/0-3")


def test_targets_are_taken_as_texts_objects_and_mappings() -> None:
    expected = [Target("output", "0-3"), Target("blocks.3", "7", (1, 2))]
    assert collect(["output/0-3", Target("blocks.3", "7", (1, 2))]) == expected
    assert collect(["output/0-3", "blocks.3/7@1,2"]) == expected
    assert collect("output/0-3") == expected[:1]
    assert collect({"output": range(3), "blocks.3": 7}) == [
        Target("output", (0, 1, 2)),
        Target("blocks.3", (7,)),
    ]
