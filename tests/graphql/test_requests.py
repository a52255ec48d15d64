"""What is taken for a request is the same over HTTP, in a body and in a query string, and over a websocket."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from runtime import Runtime
from tests import factories
from tests.client import ApiClient
from tests.graphql.sockets import Socket, connected
from tests.serving import Served

TWO = "query One { __typename } query Two { two: __typename }"
WITH = "query ($a: Boolean = true) { __typename @include(if: $a) }"
ONE, SECOND, NOTHING = {"__typename": "Query"}, {"two": "Query"}, dict[str, str]()
GRAPHQL = "application/graphql-response+json"
HASH = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The data of an answer, or the one message with its code; `malformed` says that a parameter's type is wrong."""

    data: Mapping[str, object] | None = None
    message: str = ""
    code: str | None = None
    malformed: bool = False


def answered(data: Mapping[str, object]) -> Outcome:
    """An answer."""
    return Outcome(data=data)


def refused(message: str, *, code: str = "BAD_USER_INPUT", malformed: bool = False) -> Outcome:
    """A refusal."""
    return Outcome(message=message, code=code, malformed=malformed)


NO_QUERY = "`query` must be a GraphQL document."
SEVERAL = refused("The document has several operations: name one with `operationName`.")
NOT_SUPPORTED = refused("PersistedQueryNotSupported", code="PERSISTED_QUERY_NOT_SUPPORTED")
CASES: list[tuple[dict[str, object], Outcome]] = [
    ({"query": "{ __typename }"}, answered(ONE)),
    ({"query": "{ __typename }", "variables": None, "operationName": None, "extensions": None}, answered(ONE)),
    ({"query": "{ __typename }", "variables": {}, "operationName": "", "extensions": {}}, answered(ONE)),
    ({"query": "\ufeff{ __typename }"}, answered(ONE)),
    ({"query": "{ __typename }", "anything": ["else"], "id": 1}, answered(ONE)),
    ({"query": "{ __typename }", "variables": {"not": "declared"}}, answered(ONE)),
    ({"query": "{ __typename }", "extensions": HASH}, answered(ONE)),
    ({"query": TWO, "operationName": "Two"}, answered(SECOND)),
    ({"query": TWO, "operationName": ""}, SEVERAL),
    ({"query": TWO, "operationName": None}, SEVERAL),
    ({"query": TWO}, SEVERAL),
    ({"query": TWO, "operationName": " Two"}, refused("The document has no operation named ' Two'.")),
    ({"query": TWO, "operationName": "Three"}, refused("The document has no operation named 'Three'.")),
    ({"query": TWO, "operationName": 2}, refused("`operationName` must be a string.", malformed=True)),
    ({"query": TWO, "operationName": ["Two"]}, refused("`operationName` must be a string.", malformed=True)),
    ({"query": TWO, "operationName": False}, refused("`operationName` must be a string.", malformed=True)),
    ({"query": WITH, "variables": {"a": False}}, answered(NOTHING)),
    ({"query": WITH, "variables": {}}, answered(ONE)),
    ({"query": WITH, "variables": None}, answered(ONE)),
    ({"query": WITH, "variables": []}, refused("`variables` must be an object.", malformed=True)),
    ({"query": WITH, "variables": ""}, refused("`variables` must be an object.", malformed=True)),
    ({"query": WITH, "variables": '{"a": false}'}, refused("`variables` must be an object.", malformed=True)),
    ({"query": WITH, "variables": 0}, refused("`variables` must be an object.", malformed=True)),
    ({"query": WITH, "extensions": []}, refused("`extensions` must be an object.", malformed=True)),
    ({"query": WITH, "extensions": "x"}, refused("`extensions` must be an object.", malformed=True)),
    ({"query": ""}, refused(NO_QUERY)),
    ({"query": " \n\t"}, refused(NO_QUERY)),
    ({"query": None}, refused(NO_QUERY, malformed=True)),
    ({"query": 1}, refused(NO_QUERY, malformed=True)),
    ({"query": ["{ __typename }"]}, refused(NO_QUERY, malformed=True)),
    ({"query": {"kind": "Document"}}, refused(NO_QUERY, malformed=True)),
    ({}, refused(NO_QUERY, malformed=True)),
    ({"extensions": {}}, refused(NO_QUERY, malformed=True)),
    ({"extensions": {"persistedQuery": None}}, refused(NO_QUERY, malformed=True)),
    ({"extensions": HASH}, NOT_SUPPORTED),
    ({"query": None, "extensions": HASH, "variables": {"a": 1}, "operationName": "One"}, NOT_SUPPORTED),
    ({"query": "", "extensions": HASH}, refused(NO_QUERY)),
    ({"query": "# nothing"}, refused("Syntax Error: Unexpected <EOF>.")),
]  # fmt: skip


def seen(body: dict[str, Any]) -> Outcome:
    """What an answer's body says."""
    if "errors" not in body:
        return answered(body["data"])
    (error,) = body["errors"]
    return refused(error["message"], code=error["extensions"]["code"])


async def posted(api: ApiClient, parameters: dict[str, object]) -> Outcome:
    """The outcome of a POST."""
    return seen((await api.post(orjson.dumps(parameters))).body)


async def said(socket: Socket, parameters: dict[str, object]) -> Outcome:
    """The outcome of a subscribe message."""
    await socket.send({"type": "subscribe", "id": "1", "payload": parameters})
    message = await socket.raw.receive()
    if socket.raw.closed:
        assert socket.raw.close_code == 4400
        return refused(str(message.extra), malformed=True)
    answer = orjson.loads(message.data)
    assert answer["id"] == "1"
    if answer["type"] == "error":
        return seen({"errors": answer["payload"]})
    assert (answer["type"], await socket.next()) == ("next", {"type": "complete", "id": "1"})
    return seen(answer["payload"])


def plain(outcome: Outcome) -> Outcome:
    """The outcome where a wrong type is a refusal like others."""
    return Outcome(data=outcome.data, message=outcome.message, code=outcome.code)


@pytest.mark.parametrize(("parameters", "outcome"), CASES, ids=[str(each)[:60] for each, _ in CASES])
async def test_every_transport_takes_the_same_requests(
    probe_server: Served, runtime: Runtime, parameters: dict[str, object], outcome: Outcome
) -> None:
    """The same answers and the same words; a wrong type ends the websocket with 4400, as its protocol wants."""
    token = factories.token(runtime, await factories.organization(runtime))
    assert await posted(ApiClient(probe_server.url, token), parameters) == plain(outcome)
    async with connected(probe_server) as socket:
        await socket.ready(token)
        assert await said(socket, parameters) == outcome
        if not outcome.malformed:
            assert await said(socket, {"query": "{ __typename }"}) == answered(ONE)


GETS: list[tuple[dict[str, str], Outcome]] = [
    ({"query": "{ __typename }", "operationName": "", "variables": "", "extensions": ""}, answered(ONE)),
    ({"query": TWO, "operationName": "Two"}, answered(SECOND)),
    ({"query": WITH, "variables": '{"a": false}'}, answered(NOTHING)),
    ({"query": WITH, "variables": "null"}, answered(ONE)),
    ({"query": WITH, "variables": "[]"}, refused("`variables` must be an object.")),
    ({"query": WITH, "extensions": "1"}, refused("`extensions` must be an object.")),
    ({"extensions": orjson.dumps(HASH).decode()}, NOT_SUPPORTED),
    ({"query": ""}, refused(NO_QUERY)),
    ({}, refused(NO_QUERY)),
]


@pytest.mark.parametrize(("parameters", "outcome"), GETS, ids=[str(each)[:60] for each, _ in GETS])
async def test_query_strings_too(probe: ApiClient, parameters: dict[str, str], outcome: Outcome) -> None:
    """In a GET what is empty is left out, as there is no null."""
    reply = await probe.request("GET", headers={"accept": "application/json"}, params=parameters)
    assert seen(reply.body) == outcome


@pytest.mark.parametrize(
    ("accept", "status"), [("application/json", 200), ("application/graphql-response+json", 400)]
)
async def test_automatic_persisted_queries_are_declined(probe: ApiClient, accept: str, status: int) -> None:
    """With the word and the code that clients fall back on, and the status that each media type has for it."""
    reply = await probe.post(orjson.dumps({"extensions": HASH}), {"accept": accept})
    assert (reply.status, seen(reply.body)) == (status, NOT_SUPPORTED)


MALFORMED: list[object] = [
    {"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}},
    {"type": "subscribe", "id": None, "payload": {"query": "{ __typename }"}},
    {"type": "subscribe", "payload": {"query": "{ __typename }"}},
    {"type": "subscribe", "id": "1", "payload": None},
    {"type": "subscribe", "id": "1", "payload": "{ __typename }"},
    {"type": "complete", "id": 1},
    {"type": "complete", "id": []},
    {"type": "complete", "id": {}},
    {"type": "complete", "id": ""},
    {"type": "ping", "payload": 1},
    {"type": "pong", "payload": []},
    {"type": "connection_ack"},
    {"type": "next", "id": "1", "payload": {}},
    {"type": "subscribe\x00", "id": "1", "payload": {"query": "{ __typename }"}},
    None,
    "ping",
]


@pytest.mark.parametrize("message", MALFORMED, ids=str)
async def test_envelopes_that_are_not_of_the_protocol(
    probe_server: Served, runtime: Runtime, message: object
) -> None:
    """Each closes the socket with 4400 and a reason in words."""
    token = factories.token(runtime, await factories.organization(runtime))
    async with connected(probe_server) as socket:
        await socket.ready(token)
        await socket.send(message)
        code, reason = await socket.closed()
    assert code == 4400
    assert reason


NUMBERS = ["9" * 5_000, "-" + "9" * 5_000, "1." + "3" * 5_000, "1" * 1_001, "1e" + "9" * 5_000]
PLACES = [
    "{ leaves(first: %s) { totalCount } }",
    "query ($first: Int = %s) { leaves(first: $first) { totalCount } }",
    "query ($ids: [Int] = [%s]) { __typename }",
    "{ slow(seconds: %s) }",
    "{ __typename @include(if: %s) }",
    "{ node(id: %s) { id } }",
    'mutation { createContact(input: {email: "a@b.example", customFields: {n: [%s]}}) { userErrors { code } } }',
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{number[:4]} {len(number)}")
@pytest.mark.parametrize("place", PLACES)
async def test_numbers_without_end_are_refused_in_words(probe: ApiClient, place: str, number: str) -> None:
    """Python reads no integer of over 4,300 digits: wherever one stands it is the client's error, and said so."""
    reply = await probe.send(place % number)
    (error,) = reply.body["errors"]
    assert (reply.status, error["extensions"]["code"]) == (400, "BAD_USER_INPUT")
    assert "more than 1000 characters" in error["message"]
    assert len(error["message"]) < 200
