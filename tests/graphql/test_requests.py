"""Requests are interpreted in the same way in a body, in a query string, and over a WebSocket."""

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
    """The data of a response, or its single message and code; `malformed` means a parameter of a wrong type."""

    data: Mapping[str, object] | None = None
    message: str = ""
    code: str | None = None
    malformed: bool = False


def data_outcome(data: Mapping[str, object]) -> Outcome:
    """The outcome with these data."""
    return Outcome(data=data)


def error_outcome(message: str, *, code: str = "BAD_USER_INPUT", malformed: bool = False) -> Outcome:
    """The outcome with this error."""
    return Outcome(message=message, code=code, malformed=malformed)


NO_QUERY = "`query` must be a GraphQL document."
SEVERAL = error_outcome("The document has several operations: name one with `operationName`.")
NOT_SUPPORTED = error_outcome("PersistedQueryNotSupported", code="PERSISTED_QUERY_NOT_SUPPORTED")
CASES: list[tuple[dict[str, object], Outcome]] = [
    ({"query": "{ __typename }"}, data_outcome(ONE)),
    ({"query": "{ __typename }", "variables": None, "operationName": None, "extensions": None}, data_outcome(ONE)),
    ({"query": "{ __typename }", "variables": {}, "operationName": "", "extensions": {}}, data_outcome(ONE)),
    ({"query": "\ufeff{ __typename }"}, data_outcome(ONE)),
    ({"query": "{ __typename }", "anything": ["else"], "id": 1}, data_outcome(ONE)),
    ({"query": "{ __typename }", "variables": {"not": "declared"}}, data_outcome(ONE)),
    ({"query": "{ __typename }", "extensions": HASH}, data_outcome(ONE)),
    ({"query": TWO, "operationName": "Two"}, data_outcome(SECOND)),
    ({"query": TWO, "operationName": ""}, SEVERAL),
    ({"query": TWO, "operationName": None}, SEVERAL),
    ({"query": TWO}, SEVERAL),
    ({"query": TWO, "operationName": " Two"}, error_outcome("The document has no operation named ' Two'.")),
    ({"query": TWO, "operationName": "Three"}, error_outcome("The document has no operation named 'Three'.")),
    ({"query": TWO, "operationName": 2}, error_outcome("`operationName` must be a string.", malformed=True)),
    ({"query": TWO, "operationName": ["Two"]}, error_outcome("`operationName` must be a string.", malformed=True)),
    ({"query": TWO, "operationName": False}, error_outcome("`operationName` must be a string.", malformed=True)),
    ({"query": WITH, "variables": {"a": False}}, data_outcome(NOTHING)),
    ({"query": WITH, "variables": {}}, data_outcome(ONE)),
    ({"query": WITH, "variables": None}, data_outcome(ONE)),
    ({"query": WITH, "variables": []}, error_outcome("`variables` must be an object.", malformed=True)),
    ({"query": WITH, "variables": ""}, error_outcome("`variables` must be an object.", malformed=True)),
    ({"query": WITH, "variables": '{"a": false}'}, error_outcome("`variables` must be an object.", malformed=True)),
    ({"query": WITH, "variables": 0}, error_outcome("`variables` must be an object.", malformed=True)),
    ({"query": WITH, "extensions": []}, error_outcome("`extensions` must be an object.", malformed=True)),
    ({"query": WITH, "extensions": "x"}, error_outcome("`extensions` must be an object.", malformed=True)),
    ({"query": ""}, error_outcome(NO_QUERY)),
    ({"query": " \n\t"}, error_outcome(NO_QUERY)),
    ({"query": None}, error_outcome(NO_QUERY, malformed=True)),
    ({"query": 1}, error_outcome(NO_QUERY, malformed=True)),
    ({"query": ["{ __typename }"]}, error_outcome(NO_QUERY, malformed=True)),
    ({"query": {"kind": "Document"}}, error_outcome(NO_QUERY, malformed=True)),
    ({}, error_outcome(NO_QUERY, malformed=True)),
    ({"extensions": {}}, error_outcome(NO_QUERY, malformed=True)),
    ({"extensions": {"persistedQuery": None}}, error_outcome(NO_QUERY, malformed=True)),
    ({"extensions": HASH}, NOT_SUPPORTED),
    ({"query": None, "extensions": HASH, "variables": {"a": 1}, "operationName": "One"}, NOT_SUPPORTED),
    ({"query": "", "extensions": HASH}, error_outcome(NO_QUERY)),
    ({"query": "# nothing"}, error_outcome("Syntax Error: Unexpected <EOF>.")),
]  # fmt: skip


def outcome_of(body: dict[str, Any]) -> Outcome:
    """The outcome in a response's body."""
    if "errors" not in body:
        return data_outcome(body["data"])
    (error,) = body["errors"]
    return error_outcome(error["message"], code=error["extensions"]["code"])


async def post(api: ApiClient, parameters: dict[str, object]) -> Outcome:
    """The outcome of a POST."""
    return outcome_of((await api.post(orjson.dumps(parameters))).body)


async def subscribe_outcome(socket: Socket, parameters: dict[str, object]) -> Outcome:
    """The outcome of a subscribe message."""
    await socket.send({"type": "subscribe", "id": "1", "payload": parameters})
    message = await socket.raw.receive()
    if socket.raw.closed:
        assert socket.raw.close_code == 4400
        return error_outcome(str(message.extra), malformed=True)
    answer = orjson.loads(message.data)
    assert answer["id"] == "1"
    if answer["type"] == "error":
        return outcome_of({"errors": answer["payload"]})
    assert (answer["type"], await socket.next()) == ("next", {"type": "complete", "id": "1"})
    return outcome_of(answer["payload"])


def without_malformed(outcome: Outcome) -> Outcome:
    """The outcome where a wrong type is an error like any other."""
    return Outcome(data=outcome.data, message=outcome.message, code=outcome.code)


@pytest.mark.parametrize(("parameters", "outcome"), CASES, ids=[str(each)[:60] for each, _ in CASES])
async def test_every_transport_accepts_the_same_requests(
    probe_server: Served, runtime: Runtime, parameters: dict[str, object], outcome: Outcome
) -> None:
    """The same data and messages; a wrong type closes the WebSocket with 4400, as its protocol requires."""
    token = factories.token(runtime, await factories.organization(runtime))
    assert await post(ApiClient(probe_server.url, token), parameters) == without_malformed(outcome)
    async with connected(probe_server) as socket:
        await socket.ready(token)
        assert await subscribe_outcome(socket, parameters) == outcome
        if not outcome.malformed:
            assert await subscribe_outcome(socket, {"query": "{ __typename }"}) == data_outcome(ONE)


GETS: list[tuple[dict[str, str], Outcome]] = [
    ({"query": "{ __typename }", "operationName": "", "variables": "", "extensions": ""}, data_outcome(ONE)),
    ({"query": TWO, "operationName": "Two"}, data_outcome(SECOND)),
    ({"query": WITH, "variables": '{"a": false}'}, data_outcome(NOTHING)),
    ({"query": WITH, "variables": "null"}, data_outcome(ONE)),
    ({"query": WITH, "variables": "[]"}, error_outcome("`variables` must be an object.")),
    ({"query": WITH, "extensions": "1"}, error_outcome("`extensions` must be an object.")),
    ({"extensions": orjson.dumps(HASH).decode()}, NOT_SUPPORTED),
    ({"query": ""}, error_outcome(NO_QUERY)),
    ({}, error_outcome(NO_QUERY)),
]


@pytest.mark.parametrize(("parameters", "outcome"), GETS, ids=[str(each)[:60] for each, _ in GETS])
async def test_query_strings(probe: ApiClient, parameters: dict[str, str], outcome: Outcome) -> None:
    """In a GET an empty value counts as omitted, since there is no null."""
    reply = await probe.request("GET", headers={"accept": "application/json"}, params=parameters)
    assert outcome_of(reply.body) == outcome


@pytest.mark.parametrize(
    ("accept", "status"), [("application/json", 200), ("application/graphql-response+json", 400)]
)
async def test_automatic_persisted_queries_are_refused(probe: ApiClient, accept: str, status: int) -> None:
    """With the message and the code on which clients fall back, and each media type's status for it."""
    reply = await probe.post(orjson.dumps({"extensions": HASH}), {"accept": accept})
    assert (reply.status, outcome_of(reply.body)) == (status, NOT_SUPPORTED)


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
async def test_invalid_envelopes(probe_server: Served, runtime: Runtime, message: object) -> None:
    """Each closes the connection with 4400 and a reason."""
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
async def test_very_long_numbers_are_refused(probe: ApiClient, place: str, number: str) -> None:
    """Python parses no integer of over 4,300 digits: anywhere in a request it is a client error with a message."""
    reply = await probe.send(place % number)
    (error,) = reply.body["errors"]
    assert (reply.status, error["extensions"]["code"]) == (400, "BAD_USER_INPUT")
    assert "more than 1000 characters" in error["message"]
    assert len(error["message"]) < 200
