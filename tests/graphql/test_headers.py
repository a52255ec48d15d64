"""Headers of responses: the budget, the request's id, and counts of client programs."""

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest

from runtime import Runtime
from tests import factories
from tests.client import ApiClient, ApiResponse
from tests.graphql.probe import probe_schema, with_settings
from tests.serving import Served, served
from transport.http.clients import MAX_CLIENTS, MAX_CLIENTS_OF_CALLER, OTHER, ClientCounts

LIMIT = 400
PAGE = "{ campaigns(first: 100) { nodes { id } } }"
POLICY = f'"cost";q={LIMIT};w=60;nudge-unit="points"'


@pytest.fixture(scope="module")
async def small(runtime: Runtime) -> AsyncIterator[Served]:
    """A server on which a caller has 400 points a minute."""
    async with served(with_settings(runtime, graphql={"cost_per_minute": LIMIT}), probe_schema) as server:
        yield server


async def caller(runtime: Runtime, server: Served) -> ApiClient:
    """The owner of a new organization."""
    actor = await factories.organization(runtime)
    return ApiClient(server.url, factories.token(runtime, actor))


def budget(reply: ApiResponse) -> tuple[int, int]:
    """The remaining points, and the seconds until the budget is reset, of a response with both headers."""
    assert reply.headers["ratelimit-policy"] == POLICY
    match = re.fullmatch(r'"cost";r=(\d+);t=(\d+)', reply.headers["ratelimit"])
    assert match
    return int(match[1]), int(match[2])


async def test_responses_have_the_budget_of_their_cost_extension(runtime: Runtime, small: Served) -> None:
    """For a success and for a failed field, in both media types, by POST and GET."""
    client = await caller(runtime, small)
    replies = [
        await client.send("{ __typename }"),
        await client.send("{ campaigns { nodes { id } } }", accept="application/json"),
        await client.send("{ bug }"),
        await client.request("GET", headers={"accept": "application/json"}, params={"query": "{ __typename }"}),
    ]
    for reply in replies:
        left, seconds = budget(reply)
        assert left == reply.body["extensions"]["cost"]["remaining"] < LIMIT
        assert 0 <= seconds <= 60


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ nothing }", {}),
        ("{ a", {}),
        ("query ($first: Int) { campaigns(first: $first) { nodes { id } } }", {"first": "x"}),
    ],
)
async def test_refused_requests_have_the_budget(
    runtime: Runtime, small: Served, query: str, variables: dict[str, str]
) -> None:
    """For a document that does not parse or validate, and for invalid variables."""
    reply = await (await caller(runtime, small)).send(query, variables)
    assert reply.status == 400
    assert budget(reply)[0] <= LIMIT


async def test_a_spent_budget_has_retry_after(runtime: Runtime, small: Served) -> None:
    """`Retry-After` is at least the `t` of `RateLimit`, also where the status must be 200."""
    client = await caller(runtime, small)
    for accept, status in (("application/graphql-response+json", 429), ("application/json", 200)):
        reply = await client.send(PAGE, accept=accept)
        while "errors" not in reply.body:
            reply = await client.send(PAGE, accept=accept)
        assert (reply.status, reply.codes) == (status, ["RATE_LIMITED"])
        left, seconds = budget(reply)
        assert left < 101
        # The refusal is computed before the headers. A client that waits for this time is not refused again.
        assert int(reply.headers["retry-after"]) >= seconds


async def test_unreadable_requests_have_no_budget(small: Served) -> None:
    """A body that is not a GraphQL request is charged to no budget."""
    reply = await ApiClient(small.url).post(b"[]")
    assert reply.status == 400
    assert not {"ratelimit", "ratelimit-policy"} & reply.headers.keys()


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/healthz", {}),
        ("GET", "/readyz", {}),
        ("GET", "/metrics", {}),
        ("GET", "/.well-known/jwks.json", {}),
        ("GET", "/", {}),
        ("GET", "/nothing", {}),
        ("DELETE", "/healthz", {}),
        ("GET", "/graphql/assets/nothing.js", {}),
        ("POST", "/webhooks/postmark", {}),
        ("GET", "/unsubscribe/none", {}),
        ("GET", "/confirm-sender/none", {}),
        ("GET", "/graphql", {"accept": "text/html"}),
        ("GET", "/graphql", {}),
        ("POST", "/graphql", {}),
        ("POST", "/graphql", {"origin": "http://localhost:3000"}),
        ("PUT", "/graphql", {}),
        ("OPTIONS", "/graphql", {"origin": "http://localhost:3000", "access-control-request-method": "POST"}),
    ],
)
async def test_every_response_has_one_request_id(
    api_server: Served, method: str, path: str, headers: dict[str, str]
) -> None:
    """From a route, an error, a redirect and the CORS middleware."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, api_server.base + path, headers=headers, allow_redirects=False) as response,
    ):
        (request_id,) = response.headers.getall("x-request-id")
        assert re.fullmatch(r"[0-9a-f]{32}", request_id)


def samples(counts: ClientCounts) -> dict[tuple[str, str], float]:
    """The samples as a scraper gets them, by name and version."""
    samples = counts.metrics().samples
    return {(sample.labels["client"], sample.labels["version"]): sample.value for sample in samples}


async def test_requests_are_counted_by_client(runtime: Runtime) -> None:
    """By either pair of headers; also without a version, but not without a name."""
    async with served(runtime) as server:
        client = await caller(runtime, server)
        for name in ("apollographql-client", "graphql-client"):
            await client.send("{ __typename }", headers={f"{name}-name": "web", f"{name}-version": "1.2.3"})
        await client.send("{ __typename }", headers={"graphql-client-name": "ios"})
        await client.send("{ __typename }")
        await client.as_(None).send("{ __typename }", headers={"graphql-client-name": "web"})
        async with aiohttp.ClientSession() as session, session.get(f"{server.base}/metrics") as response:
            text = await response.text()
    counts = dict(re.findall(r'nudge_graphql_client_requests_total\{client="(.*?",version=".*?)"\} (\S+)', text))
    assert counts == {'web",version="1.2.3': "2.0", 'ios",version="': "1.0", 'other",version="': "1.0"}


def headers_of(name: str, version: str = "") -> dict[bytes, bytes]:
    """The headers of a client's request."""
    headers = {b"graphql-client-name": name.encode("latin-1")}
    return headers | ({b"graphql-client-version": version.encode("latin-1")} if version else {})


def test_labels_are_bounded() -> None:
    """Neither an unauthenticated client, nor one caller, nor all together add more labels than the maximum."""
    counts = ClientCounts()
    counts.count(headers_of("unauthenticated"), None)
    assert samples(counts) == {("other", ""): 1}
    for caller_number in range(MAX_CLIENTS):
        for version in range(MAX_CLIENTS_OF_CALLER + 5):
            counts.count(headers_of(f"app-{caller_number}", str(version)), str(caller_number))
            assert len(counts.counts) <= MAX_CLIENTS + 1
    assert sum(name == "app-0" for name, _ in samples(counts)) == MAX_CLIENTS_OF_CALLER
    assert len(counts.added) <= MAX_CLIENTS
    assert sum(counts.counts.values()) == 1 + MAX_CLIENTS * (MAX_CLIENTS_OF_CALLER + 5)
    counts.count(headers_of("app-0", "0"), None)
    assert counts.counts[(b"app-0", b"0")] == 2


@pytest.mark.parametrize("name", ["ada@example.com", 'a"b', "a\\b", "ä", "x" * 65, " web", "a\nb", ""])
def test_a_label_contains_plain_text_only(name: str) -> None:
    """No addresses, quotes, long or non-ASCII text; without a name nothing is counted."""
    counts = ClientCounts()
    counts.count(headers_of(name), "caller")
    counts.count(headers_of("web", name or "ok"), "caller")
    assert set(counts.counts) <= {OTHER, (b"web", b"ok")}
