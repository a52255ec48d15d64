"""How much the variables of a request may contain, and that unauthenticated callers' are not parsed."""

from typing import Any

import pytest

from runtime import Runtime
from tests import factories
from tests.client import ApiClient
from tests.effort import count_calls
from tests.graphql.sockets import connected
from tests.serving import Served

CONTACTS = "query ($f: ContactFilter) { contacts(filter: $f) { nodes { id } } }"
ALIASES = " ".join(f"a{number}: contacts(filter: $f) {{ nodes {{ id }} }}" for number in range(30))
OFTEN = f"query ($f: ContactFilter!) {{ contacts(filter: {{or: [{'$f ' * 600}]}}) {{ nodes {{ id }} }} }}"
UPSERT = """mutation ($input: UpsertContactsInput!) { upsertContacts(input: $input) {
    results { index status contact { id email firstName tags } userErrors { code field message } }
    created updated userErrors { code field message } } }"""


def doubling(levels: int) -> dict[str, Any]:
    """A filter of two filters, each of two, and so on."""
    return {"and": [doubling(levels - 1)] * 2} if levels else {}


def nested(levels: int) -> dict[str, Any]:
    """A filter within a filter, and so on."""
    return {"not": nested(levels - 1)} if levels else {}


def row(number: int) -> dict[str, Any]:
    """A contact with as many fields as in large imports."""
    fields = {f"field_{index}": f"value {index}" for index in range(10)}
    return {
        "email": f"row-{number}@example.com",
        "firstName": "Ada",
        "lastName": "Lovelace",
        "customFields": fields,
        "tags": ["one", "two", "three", "four", "five"],
    }


@pytest.fixture
async def caller(api: ApiClient, runtime: Runtime) -> ApiClient:
    """The owner of a new organization."""
    return api.as_(factories.token(runtime, await factories.organization(runtime)))


TOO_MUCH = {
    "a list of many": (CONTACTS, {"f": {"or": [{}] * 200_000}}),
    "many in each other": (CONTACTS, {"f": doubling(14)}),
    "many values": (CONTACTS, {"f": {"listIds": ["x"] * 30_000}}),
    "many rows": (UPSERT, {"input": {"contacts": [{"email": "a@example.com"}] * 20_000}}),
    "used by many fields": (f"query ($f: ContactFilter) {{ {ALIASES} }}", {"f": {"or": [{}] * 100}}),
    "used often in one": (OFTEN, {"f": nested(5)}),
    "used in a fragment": (
        f"query ($f: ContactFilter) {{ ...F }} fragment F on Query {{ {ALIASES} }}",
        {"f": {"or": [{}] * 100}},
    ),
    "a default used often": (
        "query ($f: ContactFilter = {or: [" + "{}" * 100 + f"]}}) {{ {ALIASES} }}",
        {},
    ),
    "deep": (CONTACTS, {"f": nested(40)}),
}


@pytest.mark.parametrize("query_and_variables", TOO_MUCH.values(), ids=TOO_MUCH.keys())
async def test_variables_above_a_limit(
    api: ApiClient, caller: ApiClient, query_and_variables: tuple[str, dict[str, Any]]
) -> None:
    """Each is refused immediately, for any caller; the server runs in this process."""
    query, variables = query_and_variables
    for client in (api, caller):
        with count_calls() as effort:
            reply = await client.send(query, variables)
        assert effort.calls < 500_000
        (error,) = reply.body["errors"]
        assert (reply.status, error["extensions"]["code"]) == (400, "BAD_USER_INPUT")
        assert error["message"].startswith("The variables")
        assert error["extensions"]["suggestion"]


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ([{"status": {"in": ["SUBSCRIBED"]}}] * 830 + [{"status": {"in": ["SUBSCRIBED"] * 20_000}}], "TOO_MANY"),
        ([{}] * 2_497 + [{"status": {"in": ["SUBSCRIBED"] * 22_000}}], "REQUIRED"),
    ],
)
async def test_the_largest_variables_are_processed_quickly(
    caller: ApiClient, conditions: list[dict[str, Any]], reason: str
) -> None:
    """Variables just within the limits cost little time, and are then refused by the field's own limits."""
    with count_calls() as effort:
        reply = await caller.send(CONTACTS, {"f": {"or": conditions}})
    assert effort.calls < 3_000_000
    assert reply.body["errors"][0]["extensions"]["reason"] == reason


async def test_a_full_import_passes(caller: ApiClient) -> None:
    """1,000 rows with names, ten fields and five tags are within the limits of variables and of cost."""
    for created, updated in ((1_000, 0), (0, 0)):
        reply = await caller.send(UPSERT, {"input": {"contacts": [row(number) for number in range(1_000)]}})
        payload = reply.data["upsertContacts"]
        assert (payload["created"], payload["updated"], payload["userErrors"]) == (created, updated, [])
        assert len(payload["results"]) == 1_000
        assert reply.body["extensions"]["cost"]["requested"] == 11 + 1_000 * 2


async def test_a_socket_has_the_same_limit(api_server: Served, caller: ApiClient) -> None:
    """The operation is refused with an error message; the connection stays open."""
    assert caller.token is not None
    async with connected(api_server) as socket:
        await socket.ready(caller.token)
        await socket.subscribe(CONTACTS, variables={"f": {"or": [{}] * 15_000}})
        message = await socket.next()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert message["payload"][0]["extensions"]["suggestion"]
        await socket.subscribe("{ __typename }")
        assert (await socket.next())["type"] == "next"


async def test_variables_of_unauthenticated_callers_are_not_parsed(api: ApiClient) -> None:
    """Where all fields need a caller, the error is UNAUTHENTICATED; otherwise the variables are parsed."""
    reply = await api.send(CONTACTS, {"f": 5})
    (error,) = reply.body["errors"]
    assert (reply.status, reply.body["data"]) == (200, None)
    assert (error["extensions"]["code"], error["path"]) == ("UNAUTHENTICATED", ["contacts"])
    by_fragment = CONTACTS.replace("{ contacts", "{ ...F contacts") + " fragment F on Query { x: tags { name } }"
    wrong = await api.as_("nonsense").send(by_fragment, {"f": 5})
    assert (wrong.codes, wrong.body["errors"][0]["path"]) == (["UNAUTHENTICATED"], ["x"])
    assert "not valid" in wrong.body["errors"][0]["message"]
    with_public = CONTACTS.replace("{ contacts", "{ rateLimit { limit } contacts")
    assert (await api.send(with_public, {"f": 5})).codes == ["BAD_USER_INPUT"]
