"""Which layers are meant by words, by patterns, and by lists of them."""

import pytest
import sqlalchemy as sa

from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.catalog.inspections import record_inspection
from services.catalog.layer_selection import LayerWords, NoSuchLayers
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network

NETWORK, PLAIN = "worded.random", "plain.random"
LAYERS = (
    LayerInfo("conv_stem", "conv", 32, (16, 16), 3, 2, role="stem"),
    LayerInfo("bn1", "norm", 32, (16, 16), 3, 2, twin_of="conv_stem"),
    LayerInfo("blocks.0.0.conv", "conv", 96, (8, 8), 7, 4),
    LayerInfo("blocks.0.0.bn1", "norm", 96, (8, 8), 7, 4, twin_of="blocks.0.0.conv"),
    LayerInfo("blocks.0.0", "block", 16, (8, 8), 7, 4, role="block"),
    LayerInfo("blocks.0", "block", 16, (8, 8), 7, 4, twin_of="blocks.0.0"),
    LayerInfo("blocks.1.0", "block", 24, (8, 8), 9, 4, role="block"),
    LayerInfo("blocks.1", "block", 24, (8, 8), 9, 4, twin_of="blocks.1.0"),
    LayerInfo("blocks", "block", 24, (8, 8), 9, 4, twin_of="blocks.1.0"),
    LayerInfo("conv_head", "conv", 128, (8, 8), 9, 4, role="head"),
    LayerInfo("pool", "pool", 128, None, None, None),
    LayerInfo("classifier", "output", 10, None, None, None, role="output"),
)
BLOCKS = ["conv_stem", "blocks.0.0", "blocks.1.0", "conv_head", "classifier"]
PLAIN_LAYERS = (
    LayerInfo("all", "linear", 8, None, None, None, role="stem"),
    LayerInfo("some,more", "linear", 8, None, None, None),
    LayerInfo("convolutions", "block", 8, None, None, None, twin_of="some,more"),
)


@pytest.fixture
def worded(database: Database) -> Database:
    with database.session() as session:
        for id, layers in ((NETWORK, LAYERS), (PLAIN, PLAIN_LAYERS)):
            register_network(session, RegisterNetwork(id=id))
            record_inspection(
                session,
                id,
                weights_sha256="a" * 64,
                preprocessing={"size": 32},
                labels=[],
                layers=layers,
            )
    return database


def meant(database: Database, words: str, network: str = NETWORK) -> list[str]:
    with database.session() as session:
        return [layer.name for layer in LayerWords(session, network).find(words).layers]


@pytest.mark.parametrize(
    ("words", "layers"),
    [
        ("blocks", BLOCKS),
        ("convolutions", ["conv_stem", "blocks.0.0.conv", "conv_head"]),
        ("all", [layer.name for layer in LAYERS]),
        ("bn1", ["bn1"]),
        ("output", ["classifier"]),
        ("logits", ["classifier"]),
        ("blocks.0.*", ["blocks.0.0.conv", "blocks.0.0"]),
        ("blocks.?.?", ["blocks.0.0", "blocks.1.0"]),
        ("conv_*", ["conv_stem", "conv_head"]),
        ("*[01].0", ["blocks.0.0", "blocks.1.0"]),
        # A pattern that has nothing but twins means them.
        ("*bn1", ["bn1", "blocks.0.0.bn1"]),
        ("blocks.[01]", ["blocks.0", "blocks.1"]),
        ("*", [layer.name for layer in LAYERS if not layer.twin_of]),
    ],
)
def test_words_and_patterns_mean_layers_in_the_order_of_execution(
    worded: Database, words: str, layers: list[str]
) -> None:
    assert meant(worded, words) == layers


@pytest.mark.parametrize(
    ("words", "layers"),
    [
        ("output,conv_stem", ["conv_stem", "classifier"]),
        (" conv_head , conv_*, blocks.1.0 ", ["conv_stem", "blocks.1.0", "conv_head"]),
        ("blocks,bn1,blocks", ["conv_stem", "bn1", *BLOCKS[1:]]),
        ("output,logits,classifier", ["classifier"]),
    ],
)
def test_of_a_list_each_layer_is_there_once_in_the_order_of_execution(
    worded: Database, words: str, layers: list[str]
) -> None:
    assert meant(worded, words) == layers


def test_a_layer_of_a_words_name_goes_before_the_word_unless_it_is_a_twin(worded: Database) -> None:
    assert meant(worded, "all", PLAIN) == ["all"]
    assert meant(worded, "blocks") == BLOCKS
    assert meant(worded, ".blocks") == meant(worded, ".blocks,.blocks") == ["blocks"]
    assert meant(worded, ".all", PLAIN) == ["all"]
    assert meant(worded, ".convolutions", PLAIN) == ["convolutions"]


def test_a_layer_whose_name_has_signs_of_words_is_found_by_it(worded: Database) -> None:
    assert meant(worded, "some,more", PLAIN) == ["some,more"]


def test_one_name_is_told_from_words_that_mean_one_layer(worded: Database) -> None:
    with worded.session() as session:
        words = LayerWords(session, NETWORK)
        names = [words.find(given).is_name for given in ("output", "blocks.0.0", ".blocks")]
        others = [words.find(given).is_name for given in ("conv_s*", "output,output", "blocks")]
    assert (names, others) == ([True] * 3, [False] * 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "blcks",
            r"there is no layer 'blcks'.*has: blocks.*Several layers are meant by blocks, conv",
        ),
        ("blocks.7.*", r"'blocks\.7\.\*' matches no layer of worded\.random.*any characters.*has: blocks"),
        ("conv_stem,blocks.7", "there is no layer 'blocks.7'"),
        ("conv_stem,", "nothing beside a comma"),
        ("", "there is no layer ''"),
        ("[", "matches no layer"),
        (".classifier", "there is no layer '.classifier'"),
        (",".join(f"{n}*" for n in range(65)), "more than 64 patterns"),
        ("[" * 256, "a pattern of 256 characters; expected at most 255"),
    ],
)
def test_what_means_no_layer_is_answered_with_what_there_is(worded: Database, words: str, said: str) -> None:
    with pytest.raises(NoSuchLayers, match=said):
        meant(worded, words)


def test_patterns_are_counted_over_all_entries_of_a_list_each_once(worded: Database) -> None:
    with worded.session() as session:
        words = LayerWords(session, NETWORK)
        assert words.find(["conv_*", "bn1,conv_*"] * 100).layers[0].name == "conv_stem"
        with pytest.raises(NoSuchLayers, match="more than 64 patterns"):
            words.find([f"conv_*,{'*' * n}" for n in range(1, 65)])


def test_patterns_are_counted_over_all_targets_of_a_request(worded: Database) -> None:
    with worded.session() as session:
        words = LayerWords(session, NETWORK)
        for n in range(1, 65):
            words.find("*" * n)
        with pytest.raises(NoSuchLayers, match="more than 64 patterns"):
            words.find("conv_*")


def test_a_list_of_names_asks_the_database_no_oftener_than_one_pattern(worded: Database) -> None:
    def statements(words: list[str]) -> int:
        sent: list[str] = []
        with worded.session() as session:
            connection = session.connection()
            sa.event.listen(connection, "before_cursor_execute", lambda *each: sent.append(each[2]))
            LayerWords(session, NETWORK).find(words)
        return len(sent)

    assert statements([layer.name for layer in LAYERS] * 100) == statements(["conv_*"])


def test_a_word_that_a_network_has_nothing_of_is_said(worded: Database) -> None:
    with pytest.raises(NoSuchLayers, match=r"'convolutions' means no layer: plain\.random has none of these"):
        meant(worded, "convolutions", PLAIN)
