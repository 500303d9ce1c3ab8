"""What `/metrics` says of the store: what was found lost, repaired and collected, read from the rows."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy.orm import Session

from services.pictures import repairs
from services.upkeep import tallies

_OUTCOMES = {
    "repaired": "repaired",
    "unneeded": "repairs_unneeded",
    "failed": "repairs_failed",
    "given_up": "repairs_given_up",
}


def store_metrics(session: Session) -> Iterable[Metric]:
    """Since the database was made; each series is there from the beginning, so that rates can be computed."""
    counted = tallies.read(session)
    open_repairs = repairs.depth(session)
    waiting = GaugeMetricFamily(
        "imago_repairs_open",
        "Things whose objects are lost, by whether they can be made again.",
        labels=["state"],
    )
    waiting.add_metric(["waiting"], open_repairs.waiting)
    waiting.add_metric(["given_up"], open_repairs.given_up)
    lost = CounterMetricFamily("imago_objects_lost", "Losses that were noted.", labels=["reason", "found_by"])
    for reason in ("missing", "damaged"):
        for found_by in ("read", "scrub", "worker"):
            lost.add_metric([reason, found_by], counted.get(f"found_{reason}_by_{found_by}", 0))
    ended = CounterMetricFamily("imago_repairs", "Repairs that ended, or failed once.", labels=["outcome"])
    for outcome, name in _OUTCOMES.items():
        ended.add_metric([outcome], counted.get(name, 0))
    return [
        waiting,
        lost,
        ended,
        _counter(counted, "imago_objects_scrubbed", "Objects compared with their hash.", "scrubbed_objects"),
        _counter(counted, "imago_objects_collected", "Unused objects removed.", "collected_objects"),
        _counter(counted, "imago_bytes_collected", "Bytes of unused objects removed.", "collected_bytes"),
    ]


def _counter(counted: Mapping[str, int], name: str, help: str, tally: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, help, value=counted.get(tally, 0))
