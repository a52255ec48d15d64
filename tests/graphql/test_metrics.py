"""`GET /metrics`: the counters, who may read them, and that they identify no tenant."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import aiohttp
import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from core.configuration import Environment
from core.metrics import registry
from execution import plans
from models.deliveries import DeliveryStatus
from runtime import Runtime
from tests import factories
from tests.campaigns.calls import gid
from tests.campaigns.test_realtime import WATCH, advance, sending_campaign
from tests.client import ApiClient
from tests.graphql.probe import with_settings
from tests.graphql.sockets import connected, settles
from tests.serving import Served, served

TOKEN = "a-token-of-the-scraper-that-nobody-guesses"
UUIDS = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """The response of a scrape."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def labels(self) -> set[str]:
        """The names of all labels."""
        families = text_string_to_metric_families(self.text)
        return {label for family in families for sample in family.samples for label in sample.labels}

    def value(self, name: str, **labels: str) -> float:
        """A sample's value, by Prometheus's own parser; 0 when there is none with these labels."""
        values = [
            sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        assert values or labels, f"{name} is missing"
        return sum(values)


@pytest.fixture(scope="module")
async def guarded(runtime: Runtime) -> AsyncIterator[Served]:
    async with served(in_production(with_settings(runtime, metrics={"token": TOKEN}))) as server:
        yield server


async def scrape(server: Served, authorization: str | None = None) -> Scrape:
    """Request the metrics as Prometheus does."""
    headers = {"authorization": authorization} if authorization is not None else {}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{server.base}/metrics", headers=headers) as response,
    ):
        assert response.headers["cache-control"] == "no-store"
        response_headers = {name.lower(): value for name, value in response.headers.items()}
        return Scrape(status=response.status, headers=response_headers, text=await response.text())


def in_production(runtime: Runtime) -> Runtime:
    """The same runtime with production settings."""
    return replace(runtime, settings=runtime.settings.model_copy(update={"environment": Environment.PRODUCTION}))


async def test_metrics_of_the_compiler(api_server: Served, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document is first executed by graphql-core, then compiled and executed; the metrics count each."""
    monkeypatch.setattr(plans.compile_time_limit, "seconds", plans.BURST_SECONDS)
    before = await scrape(api_server)
    assert (before.status, before.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    for _ in range(2):
        await api.execute("query Metered { __typename metered: __typename }")
    after = await scrape(api_server)

    def rise(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert rise("nudge_graphql_operations_fallen_back_total", reason="first use") == 1
    assert rise("nudge_graphql_operations_compiled_total") == 1
    assert rise("nudge_graphql_operations_executed_total") == 1
    assert 0 < rise("nudge_graphql_compile_seconds_total") < 60
    assert after.value("nudge_graphql_documents") > 0
    assert 'nudge_graphql_operations_fallen_back_total{reason="compiler failed"}' in before.text


async def test_fallbacks_are_counted_by_reason(api_server: Served, api: ApiClient) -> None:
    """A condition without a value is never compiled: each execution after the first use is counted."""
    query = "query Counted($included: Boolean = true) { __typename @include(if: $included) }"
    await api.send(query, {"included": None})
    before = await scrape(api_server)
    assert (await api.send(query, {"included": None})).codes == ["BAD_USER_INPUT"]
    name, reason = "nudge_graphql_operations_fallen_back_total", "condition without a value"
    after = await scrape(api_server)
    assert after.value(name, reason=reason) - before.value(name, reason=reason) == 1


async def test_metrics_of_sockets_and_reads_identify_no_tenant(runtime: Runtime) -> None:
    """A subscriber shows in every metric, but neither its name and id nor its organization's."""
    owner = await factories.organization(runtime)
    campaign_id = await sending_campaign(runtime, owner, 2)
    token = factories.token(runtime, owner)
    async with served(runtime) as server, connected(server) as socket:
        data = await ApiClient(server.url, token).execute("{ viewer { organization { name } } }")
        await socket.ready(token)
        await socket.subscribe(WATCH, variables={"id": gid(campaign_id)})
        await socket.next()
        await advance(runtime, owner, campaign_id, DeliveryStatus.ACCEPTED, 1)
        await socket.next()
        await settles(lambda: runtime.hub.connected)
        metrics = await scrape(server)
    for name in ("nudge_websockets_open", "nudge_websockets_authenticated", "nudge_websocket_operations"):
        assert metrics.value(name) == 1
    assert (metrics.value("nudge_fanout_groups"), metrics.value("nudge_fanout_subscribers")) == (1, 1)
    assert (
        metrics.value("nudge_fanout_frames_written_total") + metrics.value("nudge_fanout_messages_waited_total") >= 2
    )
    assert (metrics.value("nudge_pubsub_connected"), metrics.value("nudge_pubsub_topics") >= 1) == (1, True)
    assert metrics.value("nudge_read_connections_free") >= 1
    assert metrics.value("nudge_reads_waiting") == 0
    assert metrics.labels == {"reason", "client", "version"}
    assert data["viewer"]["organization"]["name"] not in metrics.text
    assert UUIDS.search(metrics.text) is None
    assert "@" not in metrics.text


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer ", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        (None, 401),
    ],
)
async def test_the_token_is_required_when_set(guarded: Served, authorization: str | None, status: int) -> None:
    """The right bearer token is accepted, in production too; any other, or none, is refused."""
    metrics = await scrape(guarded, authorization)
    assert metrics.status == status
    assert ("nudge_" in metrics.text) == (status == 200)
    assert ("www-authenticate" in metrics.headers) == (status == 401)


async def test_production_without_a_token_has_no_metrics(runtime: Runtime) -> None:
    """Without the setting the page does not exist, with any token."""
    async with served(in_production(runtime)) as server:
        answers = [await scrape(server), await scrape(server, f"Bearer {TOKEN}")]
    assert [(metrics.status, metrics.text) for metrics in answers] == [(404, "Not Found")] * 2


def test_duplicate_metric_names_are_an_error() -> None:
    """Prometheus would reject the whole page: the application refuses to start instead."""

    def part() -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily("nudge_things", "Things.", 1)]

    with pytest.raises(ValueError, match="nudge_things"):
        registry(part, part)
