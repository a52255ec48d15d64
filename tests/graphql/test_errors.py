"""What clients see of errors: a code and a request id, and nothing of our inside."""

import pytest
from structlog.testing import capture_logs

from services.runtime import Runtime
from tests import factories
from tests.client import ApiClient


async def test_what_we_did_not_foresee_is_masked_and_logged(probe: ApiClient) -> None:
    """The client gets the request id, the log gets the cause under the same id."""
    with capture_logs() as logged:
        reply = await probe.send("{ bug }")
    (error,) = reply.body["errors"]
    assert (reply.status, error["extensions"]["code"], error["path"]) == (200, "INTERNAL", ["bug"])
    assert "vault" not in str(reply.body)
    assert error["extensions"]["requestId"] == reply.headers["x-request-id"]
    (line,) = logged
    assert "vault" in str(line["exc_info"])
    assert line["request_id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize(("field", "code"), [("missing", "NOT_FOUND"), ("invalid", "BAD_USER_INPUT")])
async def test_refusals_of_queries_have_codes(probe: ApiClient, field: str, code: str) -> None:
    """A NudgeError outside a payload becomes a top-level error with its reason."""
    reply = await probe.send(f"{{ {field} }}")
    (error,) = reply.body["errors"]
    assert error["extensions"]["code"] == code
    assert error["extensions"]["reason"] in {"NOT_FOUND", "INVALID"}
    assert reply.body["data"] == {field: None}


async def test_fields_that_need_a_caller_say_so(probe: ApiClient) -> None:
    """UNAUTHENTICATED without a token, and why with a bad one."""
    query = '{ node(id: "x") { id } }'
    assert (await probe.send(query)).codes == ["UNAUTHENTICATED"]
    for token in ("nonsense", "a.b.c"):
        reply = await probe.as_(token).send(query)
        assert reply.codes == ["UNAUTHENTICATED"]
        assert "not valid" in reply.body["errors"][0]["message"]
    basic = await probe.send(query, headers={"authorization": "Basic dXNlcjpwYXNz"})
    assert "Bearer" in basic.body["errors"][0]["message"]


async def test_nodes_takes_a_hundred_ids(api: ApiClient, runtime: Runtime) -> None:
    """More are refused as bad input; unknown ids are null, each at its place."""
    caller = api.as_(factories.token(runtime, await factories.organization(runtime)))
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert (await caller.execute(query, {"ids": ["x", "y"]}))["nodes"] == [None, None]
    reply = await caller.send(query, {"ids": ["x"] * 101})
    assert reply.codes == ["BAD_USER_INPUT"]
    assert reply.body["errors"][0]["extensions"]["reason"] == "TOO_MANY"
