"""Errors as clients see them: a code and a request id, and no internals."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from runtime import Runtime
from tests import factories
from tests.client import ApiClient
from transport.executor import status_of


async def test_unexpected_errors_are_masked_and_logged(probe: ApiClient) -> None:
    """The client gets the request id; the log gets the cause with the same id."""
    with capture_logs() as logged:
        reply = await probe.send("{ bug }")
    (error,) = reply.body["errors"]
    assert (reply.status, error["extensions"]["code"], error["path"]) == (200, "INTERNAL", ["bug"])
    assert "vault" not in str(reply.body)
    assert error["extensions"]["requestId"] == reply.headers["x-request-id"]
    (line,) = logged
    assert "vault" in str(line["exc_info"])
    assert line["request_id"] == reply.headers["x-request-id"]


async def test_an_invalid_result_is_an_internal_error(probe: ApiClient) -> None:
    """A result out of range for Int is masked and logged; a null of the client's is reported as bad input."""
    with capture_logs() as logged:
        reply = await probe.send("{ tooLarge }")
    (error,) = reply.body["errors"]
    assert (error["extensions"]["code"], "1099511627776" in str(reply.body)) == ("INTERNAL", False)
    (line,) = logged
    assert "1099511627776" in str(line["exc_info"])
    reply = await probe.send("query ($s: Float! = 0.1) { slow(seconds: $s) }", {"s": None})
    assert reply.codes == ["BAD_USER_INPUT"]
    reply = await probe.send("query ($s: Float = 0.1) { slow(seconds: $s) }", {"s": None})
    assert (reply.codes, reply.body["errors"][0]["path"]) == (["BAD_USER_INPUT"], ["slow"])


async def test_a_result_that_json_cannot_represent_is_masked(probe: ApiClient) -> None:
    """It is a 500 in JSON with a request id, and logged; never a response without a body."""
    with capture_logs() as logged:
        reply = await probe.send("{ notSerializable }")
    assert (reply.status, reply.codes) == (500, ["INTERNAL"])
    assert reply.body["errors"][0]["extensions"]["requestId"] == reply.headers["x-request-id"]
    (line,) = logged
    assert (line["log_level"], line["request_id"]) == ("error", reply.headers["x-request-id"])


@pytest.mark.parametrize(("field", "code"), [("missing", "NOT_FOUND"), ("invalid", "BAD_USER_INPUT")])
async def test_refusals_of_queries_have_codes(probe: ApiClient, field: str, code: str) -> None:
    """A NudgeError outside a payload becomes a top-level error with its reason."""
    reply = await probe.send(f"{{ {field} }}")
    (error,) = reply.body["errors"]
    assert error["extensions"]["code"] == code
    assert error["extensions"]["reason"] in {"NOT_FOUND", "INVALID"}
    assert reply.body["data"] == {field: None}


async def test_fields_that_need_a_caller_are_unauthenticated_without_one(probe: ApiClient) -> None:
    """UNAUTHENTICATED without a token, and with a reason for an invalid one."""
    query = '{ node(id: "x") { id } }'
    assert (await probe.send(query)).codes == ["UNAUTHENTICATED"]
    for token in ("nonsense", "a.b.c"):
        reply = await probe.as_(token).send(query)
        assert reply.codes == ["UNAUTHENTICATED"]
        assert "not valid" in reply.body["errors"][0]["message"]
    basic = await probe.send(query, headers={"authorization": "Basic dXNlcjpwYXNz"})
    assert "Bearer" in basic.body["errors"][0]["message"]


async def test_nodes_takes_a_hundred_ids(api: ApiClient, runtime: Runtime) -> None:
    """More are refused as bad input; unknown ids are null, each at its position."""
    caller = api.as_(factories.token(runtime, await factories.organization(runtime)))
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert (await caller.execute(query, {"ids": ["x", "y"]}))["nodes"] == [None, None]
    reply = await caller.send(query, {"ids": ["x"] * 101})
    assert reply.codes == ["BAD_USER_INPUT"]
    assert reply.body["errors"][0]["extensions"]["reason"] == "TOO_MANY"


OUTAGE = {"message": "Outage.", "extensions": {"code": "INTERNAL", "retryAfter": 5}}
LONGER_OUTAGE = {"message": "Outage.", "extensions": {"code": "INTERNAL", "retryAfter": 7}}
TOO_OFTEN = {"message": "Wait.", "extensions": {"code": "RATE_LIMITED", "retryAfter": 60}}
BUG = {"message": "Oh.", "extensions": {"code": "INTERNAL"}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": {"a": None}}, (200, 0)),
        ({"data": {"a": None}, "errors": [OUTAGE]}, (503, 5)),
        ({"data": {"a": None, "b": None}, "errors": [OUTAGE, LONGER_OUTAGE, OUTAGE]}, (503, 7)),
        ({"data": {"a": None, "b": 0}, "errors": [OUTAGE]}, (200, 0)),
        ({"data": None, "errors": [OUTAGE]}, (503, 5)),
        ({"data": {"a": None}, "errors": [TOO_OFTEN]}, (429, 60)),
        ({"data": {"a": None, "b": None}, "errors": [TOO_OFTEN, OUTAGE]}, (503, 5)),
        ({"data": {"a": None}, "errors": [BUG]}, (200, 0)),
    ],
)
def test_the_status_is_503_or_429_only_without_data(body: dict[str, Any], expected: tuple[int, int]) -> None:
    """503 or 429 when there is no data at all and an error has `retryAfter`; otherwise 200."""
    assert status_of(body) == expected
