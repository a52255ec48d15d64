"""The figures of this process: each part says what it counts, and is asked anew for each scrape."""

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
    """A part of the process that counts, as the library asks it."""

    figures: MetricSource

    def collect(self) -> Iterable[Metric]:
        """The figures at this moment."""
        return self.figures()


def registry(*parts: MetricSource) -> CollectorRegistry:
    """The figures of the parts, and the processor, memory and files of the process.

    Raises `ValueError` for a name that two parts use. Labels must be of few values: no tenant, and of a client's
    texts only what is checked and bounded.
    """
    made = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=made)
    for part in parts:
        made.register(_Collector(part))
    return made


def core_metrics(hub: Hub, engine: AsyncEngine) -> Iterator[Metric]:
    """What live signals and reads hold."""
    signals = hub.statistics()
    yield Gauge("nudge_pubsub_connected", "1 while signals flow; without them streams poll.", hub.connected)
    yield Gauge("nudge_pubsub_topics", "Topics that are watched.", signals.topics)
    yield Gauge("nudge_pubsub_viewers", "Streams that watch them.", signals.watchers)
    yield Gauge("nudge_pubsub_shared", "Streams whose reads are shared.", signals.shared)
    yield Gauge("nudge_pubsub_tasks", "Tasks that serve topics and shared streams.", signals.tasks)
    yield Gauge("nudge_pubsub_channels", "Channels subscribed at the server.", signals.channels)
    yield Gauge("nudge_pubsub_pending", "Announcements not handed on yet.", signals.pending)
    reads = read_side(engine).pool
    if reads is not None:
        found = reads.statistics()
        yield Gauge("nudge_read_connections_busy", "Connections that serve a read.", found.busy)
        yield Gauge("nudge_read_connections_free", "Open connections that no read uses.", found.free)
        yield Gauge("nudge_reads_waiting", "Reads that wait for a connection.", found.waiting)
