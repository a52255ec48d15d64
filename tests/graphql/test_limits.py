"""Limits of documents, and the cost of operations."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace
from typing import TypeVar

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

import execution
from core.ids import new_id
from execution.plans import BURST_SECONDS, MAX_ALIASES, compile_time_limit, plan_cache
from resolvers import build_schema
from resolvers.budgets import Budgets
from resolvers.context import RequestContext
from runtime import Runtime
from tests import factories
from tests.client import ApiClient, ApiResponse
from tests.effort import count_calls
from tests.graphql.probe import probe_schema, with_settings
from tests.graphql.sockets import settles
from tests.properties import is_long
from tests.serving import served
from transport.documents import cache
from transport.documents.cache import MAX_CACHED_LENGTH, MAX_CHARACTERS, MAX_DOCUMENTS, DocumentCache
from transport.endpoint import build_dependencies
from transport.executor import Executor
from transport.requests import GraphQLRequest

T = TypeVar("T")


def nested(levels: int) -> str:
    """A selection with so many levels."""
    return "{ viewer " + "{ organization " * levels + "{ id }" + " }" * levels + "}"


FRAGMENTS = " ".join(f"fragment F{n} on Query {{ viewer {{ id }} }}" for n in range(99))
REPEATED = " ".join(["viewer { " + " ".join(["organization { " + "id " * 10 + "}"] * 10) + "}"] * 10)
TREBLING = "fragment F9 on User { id } " + " ".join(
    f"fragment F{n} on Query {{ " + " ".join(f"{x}: viewer {{ ...F{n + 1} }}" for x in "abc") + " }" for n in range(9)
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (nested(20), "selections deep; the limit is 12"),
        ("{" + " ".join(f"a{n}: __typename" for n in range(31)) + "}", "aliases; the limit is 30"),
        ("{ __typename " + "@skip(if: false) " * 51 + "}", "directives; the limit is 50"),
        ("{" + " ".join(f"f{n}" for n in range(2_100)) + "}", "more than 2000"),
        ("{" + " __typename" * 1_000 + "}", "repetitions of one field"),
        ("{ viewer { id }" + " __typename" * 1_000 + " rateLimit { limit } }", "repetitions of one field"),
        ("{" + "...{ viewer { id } } " * 270 + "}", "repetitions of one field"),
        ("{" + " ".join(f"...F{n}" for n in range(99)) + "}" + FRAGMENTS, "repetitions of one field"),
        (f"{{ {REPEATED} }}", "repetitions of one field"),
        ("{ ...F0 }" + TREBLING, "selections when its fragments are spread"),
        ("{a" * 900 + "}" * 900, "nested too deeply"),
        ("query A { ...F } fragment F on Query { ...G } fragment G on Query { ...F }", "Cannot spread fragment"),
        ("{ viewer {} }", "Syntax Error"),
        (
            "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }",
            "introspection depth",
        ),
    ],
)
async def test_documents_above_a_limit(api: ApiClient, query: str, expected: str) -> None:
    """Each is refused after little work, with the limit in the message; the server runs in this process."""
    with count_calls() as effort:
        reply = await api.send(query)
    assert effort.calls < 500_000
    assert reply.status == 400
    assert expected.lower() in reply.body["errors"][0]["message"].lower()
    assert set(reply.codes) == {"BAD_USER_INPUT"}


async def test_fragments_count_towards_the_depth(runtime: Runtime) -> None:
    """A deep selection is not made shallower by fragments."""
    query = "{ ...A } fragment A on Query { viewer { ...B } } fragment B on User { organization { id } }"
    strict = with_settings(runtime, graphql={"max_depth": 2})
    async with served(strict, probe_schema) as server:
        reply = await ApiClient(server.url).send(query)
    assert "3 selections deep; the limit is 2" in reply.body["errors"][0]["message"]


async def test_tools_may_introspect(api: ApiClient) -> None:
    """The introspection query of GraphQL tools is within the limits."""
    kind = "kind name"
    for _ in range(8):
        kind = f"kind name ofType {{ {kind} }}"
    query = (
        f"{{ __schema {{ types {{ name fields {{ name args {{ name type {{ {kind} }} }} type {{ {kind} }} }} }} }} }}"
    )
    assert len((await api.execute(query))["__schema"]["types"]) > 10


async def test_production_hides_the_schema_from_unauthenticated_callers(runtime: Runtime) -> None:
    """With introspection off, an unauthenticated caller is refused; a member is not."""
    actor = await factories.organization(runtime)
    strict = with_settings(runtime, graphql={"introspection": False})
    async with served(strict) as server:
        anonymous = ApiClient(server.url)
        reply = await anonymous.send("{ __schema { queryType { name } } }")
        assert reply.codes == ["UNAUTHENTICATED"]
        assert await anonymous.execute("{ __typename }") == {"__typename": "Query"}
        guess = "{ viewr { id } }"
        assert "Did you mean" not in (await anonymous.send(guess)).body["errors"][0]["message"]
        valued = await anonymous.send(
            "query ($s: ContactSort) { __typename contacts(sort: $s) { nodes { id } } }", {"s": {"feld": "X"}}
        )
        assert (valued.codes[0], "Did you mean" in str(valued.body)) == ("BAD_USER_INPUT", False)
        member = anonymous.as_(factories.token(runtime, actor))
        assert "Did you mean" in (await member.send(guess)).body["errors"][0]["message"]
        assert (await member.execute('{ __type(name: "Query") { name } }'))["__type"] == {"name": "Query"}


@pytest.mark.parametrize(
    ("query", "variables", "requested", "actual"),
    [
        ("{ __typename }", {}, 1, 1),
        ("{ leaves { nodes { number } } }", {}, 26, 4),
        ("{ leaves(first: 2) { totalCount nodes { number } } }", {}, 13, 13),
        ("query ($n: Int) { leaves(first: $n) { nodes { number } } }", {"n": 50}, 51, 4),
        ("query ($n: Int = 7) { leaves(first: $n) { nodes { number } } }", {}, 8, 4),
        ("query ($n: Int) { leaves(first: $n) { nodes { number } } }", {}, 26, 4),
        ("{ ...F } fragment F on Query { leaves(first: 2) { nodes { number } } }", {}, 3, 3),
        ("{ leaves(first: 2) { nodes { number } } leaves(first: 2) { nodes { text } } }", {}, 3, 3),
    ],
)
async def test_each_response_has_its_cost(
    probe: ApiClient, query: str, variables: dict[str, object], requested: int, actual: int
) -> None:
    """Sizes of lists multiply, from arguments, variables and defaults; unused points are refunded."""
    reply = await probe.send(query, variables)
    cost = reply.body["extensions"]["cost"]
    assert (cost["requested"], cost["actual"]) == (requested, actual)
    assert cost["limit"] >= cost["remaining"] > 0


async def test_an_operation_above_the_cost_limit_is_refused(probe: ApiClient) -> None:
    """COST_EXCEEDED before anything runs, with the points that it would cost."""
    reply = await probe.send("query ($n: Int) { leaves(first: $n) { nodes { number } } }", {"n": 6_000})
    assert (reply.status, reply.codes) == (400, ["COST_EXCEEDED"])
    assert "6001 points" in reply.body["errors"][0]["message"]


async def within_a_minute(act: Callable[[], Awaitable[T]]) -> T:
    """The result of a function that begins and ends in the same minute, since budgets last no longer."""
    while True:
        began = time.time() // 60
        result = await act()
        if time.time() // 60 == began:
            return result


async def test_a_spent_budget_is_reported(runtime: Runtime) -> None:
    """Within a minute an organization has its points and no more; another one is not affected."""
    strict = with_settings(runtime, graphql={"cost_per_minute": 30})
    query = "{ rateLimit { limit remaining resetAt } leaves(first: 20) { nodes { number } } }"
    async with served(strict, probe_schema) as server:

        async def spend() -> list[ApiResponse]:
            caller = ApiClient(server.url, factories.token(runtime, await factories.organization(runtime)))
            return [await caller.send(query) for _ in range(20)]

        first, *replies = await within_a_minute(spend)
        assert first.data["rateLimit"]["limit"] == 30
        assert first.body["extensions"]["cost"]["remaining"] == 25 - len(query) // 40
        reply = next(reply for reply in replies if reply.codes)
        assert (reply.status, reply.codes) == (429, ["RATE_LIMITED"])
        assert 0 < int(reply.headers["retry-after"]) <= 60
        other = ApiClient(server.url, factories.token(runtime, await factories.organization(runtime)))
        assert (await other.send(query)).status == 200


async def test_processes_share_a_budget(runtime: Runtime) -> None:
    """After an exchange, one process knows what another has spent."""

    async def spend() -> tuple[int, int, bool]:
        budget_key = f"test:{new_id()}"
        one, other = (Budgets(limit=100, redis=runtime.cache) for _ in range(2))
        one.charge(budget_key, 60)
        other.charge(budget_key, 30)
        await one._exchange()
        await other._exchange()
        await one._exchange()
        return one.balance(budget_key).remaining, other.balance(budget_key).remaining, other.charge(budget_key, 11)

    assert await within_a_minute(spend) == (10, 10, False)


async def test_a_budget_is_spent_to_its_last_point(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A charge above the rest takes nothing; refunded points can be spent again; each key and minute has its own."""
    now = 1_000_000 * 60.0
    monkeypatch.setattr("resolvers.budgets.time", SimpleNamespace(time=lambda: now))
    budgets = Budgets(limit=100, redis=runtime.cache)
    assert [budgets.charge("a", points) for points in (60, 41, 40, 1)] == [True, False, True, False]
    assert budgets.charge("b", 100)
    assert budgets.refund("a", 30).remaining == 30
    assert [budgets.charge("a", points) for points in (31, 30)] == [False, True]
    assert (budgets.refund("a", 1_000).remaining, budgets.usages["a"].unsynced) == (100, 0)
    ends = now + 60
    assert budgets.refund("a", -120) == (100, 0, datetime.fromtimestamp(ends, UTC), ends)
    assert (budgets.balance("b").remaining, budgets.balance("c").remaining) == (0, 100)
    now += 60
    assert (budgets.balance("a").remaining, budgets.charge("b", 100)) == (100, True)


async def test_a_budget_is_counted_in_the_process_during_a_redis_outage(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And shared with the others afterwards, in a counter that expires."""
    monkeypatch.setattr("resolvers.budgets.SYNC_SECONDS", 0.01)

    async def spend() -> tuple[bool, int, int]:
        budget_key = f"test:{new_id()}"
        async with Redis.from_url("redis://127.0.0.1:9", socket_connect_timeout=0.2) as unreachable:
            one, other = Budgets(limit=100, redis=unreachable), Budgets(limit=100, redis=runtime.cache)
            keeping = asyncio.create_task(one.synchronize())
            try:
                with capture_logs() as logged:
                    one.charge(budget_key, 60)
                    await settles(lambda: len(logged) > 1)
                is_refused = one.charge(budget_key, 41)
                one.redis = runtime.cache
                await settles(lambda: one.usages[budget_key].unsynced == 0 if budget_key in one.usages else True)
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
            other.charge(budget_key, 30)
            await other._exchange()
            seconds = await runtime.cache.ttl(f"nudge:cost:{other.minute}:{budget_key}")
            return is_refused, other.balance(budget_key).remaining, seconds

    is_refused, remaining, seconds = await within_a_minute(spend)
    assert (is_refused, remaining) == (False, 10)
    assert 60 < seconds <= 120


async def test_charges_during_an_exchange_count(runtime: Runtime) -> None:
    """The sum from Redis does not include them."""

    async def spend() -> int:
        budget_key = f"test:{new_id()}"
        budgets = Budgets(limit=100, redis=runtime.cache)
        budgets.charge(budget_key, 60)
        exchange = asyncio.create_task(budgets._exchange())
        await asyncio.sleep(0)
        budgets.charge(budget_key, 30)
        await exchange
        return budgets.balance(budget_key).remaining

    assert await within_a_minute(spend) == 10


async def test_the_document_cache_is_bounded(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """It evicts the oldest; a cached document is not parsed again, and a very long one is not cached."""
    monkeypatch.setattr(cache, "MAX_DOCUMENTS", 50)
    documents = DocumentCache(probe_schema._schema, runtime.settings.graphql)
    first = documents.operation("{ __typename }", None)
    assert documents.operation("{ __typename }", None) is first
    for number in range(55):
        documents.operation(f"query Q{number} {{ __typename }}", None)
    assert len(documents.entries) == 50
    assert documents.characters == sum(map(len, documents.entries))
    assert documents.operation("{ __typename }", None) is not first
    entries = list(documents.entries)
    documents.operation("{ __typename }" + " " * MAX_CACHED_LENGTH, None)
    assert list(documents.entries) == entries


def unauthenticated_context(runtime: Runtime) -> RequestContext:
    """The context of a caller without credentials, whose budget is practically unlimited."""
    budgets = Budgets(limit=10_000_000, redis=runtime.cache)
    return RequestContext(dependencies=build_dependencies(runtime), actor=None, request_id="request", budgets=budgets)


async def run_document(executor: Executor, context: RequestContext, number: int) -> None:
    """Run a document that no other number yields."""
    query = f"{{ a{number}: __typename }}" + " " * (number % 800)
    assert (await executor.run(GraphQLRequest(query=query, variables={}), context)).body["data"] == {
        f"a{number}": "Query"
    }


@pytest.mark.differential
async def test_many_documents_leave_both_caches_bounded(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 documents, each sent twice, stay within the limits of documents, plans and hashes; few are compiled.

    The quick form has a tenth of the documents, and a tenth of each limit.
    """
    scale = 1 if is_long() else 10
    plans, fields, max_seen = 200 // scale, 150 // scale, 500 // scale
    for name, most in {"max_operations": plans, "max_fields": fields, "max_seen": max_seen}.items():
        monkeypatch.setattr(execution.limits, name, most)
    documents, characters = MAX_DOCUMENTS // scale, MAX_CHARACTERS // scale
    monkeypatch.setattr(cache, "MAX_DOCUMENTS", documents)
    monkeypatch.setattr(cache, "MAX_CHARACTERS", characters)
    schema = build_schema.__wrapped__()
    context = unauthenticated_context(runtime)
    executor = Executor(schema, runtime.settings, context.budgets)
    ticks = count()
    clock = SimpleNamespace(perf_counter=lambda: next(ticks) / 1_000)  # each command takes a millisecond
    monkeypatch.setattr("execution.plans.time", clock)
    monkeypatch.setattr("execution.compiling.time", clock)
    monkeypatch.setattr(compile_time_limit, "at", clock.perf_counter())
    monkeypatch.setattr(compile_time_limit, "seconds", BURST_SECONDS)
    before = execution.statistics()
    for number in range(10_000 // scale):
        for _ in range(2):
            await run_document(executor, context, number)
    assert len(executor.documents.entries) <= documents
    assert sum(map(len, executor.documents.entries)) == executor.documents.characters <= characters
    cached = plan_cache(schema._schema)
    assert 0 < len(cached.operations) <= plans
    assert len(cached.by_identity) <= plans * MAX_ALIASES
    assert len(cached.seen) <= max_seen
    assert cached.field_count == sum(operation.field_count for operation in cached.operations.values()) <= fields
    after = execution.statistics()
    assert after["compiled"] - before["compiled"] < 10_000 // scale
    share = BURST_SECONDS + 0.1 * next(ticks) / 1_000
    assert after["compiling_seconds"] - before["compiling_seconds"] < share + 0.1


async def test_documents_used_once_are_not_compiled(runtime: Runtime) -> None:
    """A stream of unique documents through the endpoint compiles nothing; a second use compiles."""
    schema = build_schema.__wrapped__()
    context = unauthenticated_context(runtime)
    executor = Executor(schema, runtime.settings, context.budgets)
    compiled = execution.statistics()["compiled"]
    for number in range(1_000):
        await run_document(executor, context, number)
    assert execution.statistics()["compiled"] == compiled
    assert len(plan_cache(schema._schema).operations) == 0
    compile_time_limit.seconds = BURST_SECONDS
    await run_document(executor, context, 1)
    assert execution.statistics()["compiled"] == compiled + 1


async def test_parsing_a_new_document_costs_points(runtime: Runtime) -> None:
    """A new document costs a point for each 40 characters, valid or not; a cached one costs nothing."""
    strict = with_settings(runtime, graphql={"cost_per_minute": 300})
    async with served(strict, probe_schema) as server:
        texts = [text.ljust(4_000) for text in ("{ __typename }", "{ nothing }") for _ in range(2)]

        async def spend() -> list[ApiResponse]:
            caller = ApiClient(server.url, factories.token(runtime, await factories.organization(runtime)))
            return [await caller.send(text) for text in texts]

        replies = await within_a_minute(spend)
    assert [reply.body["extensions"]["cost"]["remaining"] for reply in replies[:2]] == [199, 198]
    assert [reply.codes for reply in replies[2:]] == [["BAD_USER_INPUT"], ["RATE_LIMITED"]]
