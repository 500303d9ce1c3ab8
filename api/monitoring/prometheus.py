"""`GET /metrics` for Prometheus: requests counted here, queue depth read from the rows when scraped.

Several processes share their counts through files (`PROMETHEUS_MULTIPROC_DIR`, set by
`api.serving`); a single one counts in memory.
"""

import os
from collections.abc import Iterable

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from api.monitoring.store_metrics import store_metrics
from services.base.database import Database
from services.queue import workers

log = structlog.get_logger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class QueueCollector(Collector):
    """Depth of the queue, workers seen, and the state of the store, read at each scrape."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterable[Metric]:
        """The figures of this moment, read from the database at each scrape."""
        depth = GaugeMetricFamily(
            "imago_queue_items", "Visualizations waiting to be claimed.", labels=["lane"]
        )
        leased = GaugeMetricFamily("imago_leased_items", "Visualizations being computed.", labels=["lane"])
        trainings = GaugeMetricFamily(
            "imago_trainings", "Trainings that wait or that a worker has.", labels=["state"]
        )
        seen = GaugeMetricFamily("imago_workers", "Workers whose heartbeat is recent.")
        up = GaugeMetricFamily("imago_database_up", "Whether the queue could be read for this scrape.")
        try:
            with self._database.session() as session:
                summary = workers.queue(session)
                of_the_store = store_metrics(session)
        except Exception as error:
            # A scrape must not fail because the database is down: that is when the other figures matter.
            log.warning("metrics_without_queue", error=str(error))
            return [GaugeMetricFamily(up.name, up.documentation, value=0)]
        for lane in summary.lanes:
            depth.add_metric([lane.lane], lane.queued)
            leased.add_metric([lane.lane], lane.leased)
        trainings.add_metric(["queued"], summary.trainings.queued)
        trainings.add_metric(["running"], summary.trainings.running)
        seen.add_metric([], summary.workers)
        up.add_metric([], 1)
        return [depth, leased, trainings, seen, up, *of_the_store]


class Metrics:
    """The figures of the API: requests and their times, and those of the queue."""

    def __init__(self, database: Database) -> None:
        self._registry = CollectorRegistry()
        self._queue = QueueCollector(database)
        self._requests = Counter(
            "imago_http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "imago_http_request_seconds",
            "Time to answer.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def render(self) -> bytes:
        """All figures in the Prometheus text format."""
        registry = CollectorRegistry()
        registry.register(self._queue)
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self._registry) + generate_latest(registry)
