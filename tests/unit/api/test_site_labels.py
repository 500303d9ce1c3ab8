"""The index of labels of a static site: it holds the strongest of each, however many units there are."""

from api.web.static_site.labels import MOST, LabelIndex


def digest(number: int) -> str:
    return f"{number:064x}"


def test_of_a_label_those_that_are_called_so_come_first_then_the_likeliest() -> None:
    index = LabelIndex()
    index.add(0, 5, digest(5), None, [(3, 0.25), (1, 0.1)])
    index.add(0, 6, digest(6), None, [(3, 0.5)])
    index.add(1, 3, None, 3, [])
    index.add(1, 4, digest(4), 4, [(4, 0.9), (3, 0.25)])
    told = {
        number: [(hit.layer, hit.unit, hit.digest, hit.weight) for hit in hits]
        for number, hits in index.labels()
    }
    assert told[3] == [
        (1, 3, None, 2000),
        (0, 6, digest(6), 500),
        (0, 5, digest(5), 250),
        (1, 4, digest(4), 250),
    ]
    assert [unit for _, unit, _, _ in told[4]] == [4], "what is called so and seen so is told once"
    assert index.counts == {3: 4, 1: 1, 4: 1}
    assert list(index.some)[:2] == [4, 3]


def test_of_very_many_the_strongest_are_kept_and_all_are_counted() -> None:
    index, units = LabelIndex(), 5 * MOST
    for unit in range(units):
        index.add(0, unit, digest(unit), None, [(0, 0.01 + 0.9 * unit / units)])
    ((_, hits),) = index.labels()
    assert index.counts[0] == units
    weights = [hit.weight for hit in hits]
    assert len(weights) == MOST
    assert weights == sorted(weights, reverse=True)
    assert min(weights) > 700


def test_what_is_hardly_seen_is_not_told() -> None:
    index = LabelIndex()
    index.add(0, 0, digest(0), None, [(0, 0.009), (1, 0.005)])
    assert list(index.labels()) == []
