"""Prometheus metrics of this process: functions that return the current values, called at each scrape."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from sqlalchemy.ext.asyncio import AsyncEngine

from core.database.engine import read_side
from core.pubsub import Hub

MetricSource = Callable[[], Iterable[Metric]]


@dataclass(frozen=True, slots=True)
class _Collector:
    """A collector of the Prometheus client, for a function."""

    source: MetricSource

    def collect(self) -> Iterable[Metric]:
        """The current values."""
        return self.source()


def registry(*sources: MetricSource) -> CollectorRegistry:
    """A registry with the metrics of all sources, and with those of the process: CPU, memory, files.

    Raises `ValueError` for a metric of two sources. Labels must have few values: no tenants, and text from clients
    only after validation, with a bounded number of values.
    """
    collectors = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=collectors)
    for source in sources:
        collectors.register(_Collector(source))
    return collectors


def core_metrics(hub: Hub, engine: AsyncEngine) -> Iterator[Metric]:
    """The metrics of pub/sub and of the read pool."""
    signals = hub.statistics()
    yield Gauge("nudge_pubsub_connected", "1 while connected to Redis; while 0, streams poll.", hub.connected)
    yield Gauge("nudge_pubsub_topics", "Topics with watchers.", signals.topics)
    yield Gauge("nudge_pubsub_watchers", "Watchers of all topics.", signals.watchers)
    yield Gauge("nudge_pubsub_shared", "Streams whose reads are shared.", signals.shared)
    yield Gauge("nudge_pubsub_tasks", "Tasks that serve topics and shared streams.", signals.tasks)
    yield Gauge("nudge_pubsub_channels", "Channels subscribed at the server.", signals.channels)
    yield Gauge("nudge_pubsub_pending", "Messages not delivered yet.", signals.pending)
    reads = read_side(engine).pool
    if reads is not None:
        pool = reads.statistics()
        yield Gauge("nudge_read_connections_busy", "Connections in use by a read.", pool.busy)
        yield Gauge("nudge_read_connections_free", "Open connections not in use.", pool.free)
        yield Gauge("nudge_reads_waiting", "Reads that wait for a connection.", pool.waiting)
