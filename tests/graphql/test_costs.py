"""The actual cost of a response never exceeds its requested cost, with sizes in any notation."""

from typing import Any

import pytest
import strawberry
from graphql import OperationDefinitionNode, parse

from core.access.actor import Actor
from core.ids import encode_global_id, new_id
from runtime import Runtime
from schema.fields import on_demand
from tests import factories
from tests.client import ApiClient
from tests.graphql.probe import with_settings
from tests.serving import served
from transport.documents import cost_analysis, costs
from transport.documents.costs import CostNode

CONTACTS = 60


def id_list(ids: list[str]) -> str:
    """A list of ids as a GraphQL literal."""
    return "[" + ", ".join(f'"{one}"' for one in ids) + "]"


IDS = [encode_global_id("Contact", new_id()) for _ in range(90)]
LITERAL = id_list(IDS)
ADD_TAGS = """mutation ($ids: [ID!]!) { addTags(input: {contactIds: $ids, tags: ["new"]}) {
    contacts { lists { name } events(first: 100) { nodes { kind } } } userErrors { code } } }"""
WHOLE = """mutation ($input: AddTagsInput!) { addTags(input: $input) { contacts { id } userErrors { code } } }"""
UPSERT = """mutation ($rows: [UpsertContactInput!]!) { upsertContacts(input: {contacts: $rows}) {
    results { contact { id } userErrors { code } } } }"""


SAME_KEY = """query ($id: ID!) { node(id: $id) {
    ... on Conversation { x: messages(first: 2) { nodes { __typename } } }
    ... on Contact { x: events(first: 90) { nodes { __typename } } } } }"""


@pytest.fixture(scope="module")
async def owner(runtime: Runtime) -> Actor:
    """The owner of an organization with sixty contacts."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, CONTACTS, tag="old")
    return actor


@pytest.fixture
def caller(api: ApiClient, runtime: Runtime, owner: Actor) -> ApiClient:
    """The owner's client."""
    return api.as_(factories.token(runtime, owner))


def page(arguments: str, declared: str = "") -> str:
    """A query of contacts."""
    return f"query {declared} {{ contacts({arguments}) {{ nodes {{ id }} }} }}"


@pytest.mark.parametrize(
    ("query", "variables", "requested"),
    [
        (page("first: $n", "($n: Int)"), {"n": None}, 26),
        (page("first: $n", "($n: Int)"), {"n": 50.0}, 51),
        (page("first: $n", "($n: Int = 0)"), {"n": None}, 26),
        (page("first: $n", "($n: Int = 40)"), {}, 41),
        (page("first: null, last: 50"), {}, 51),
        (page("first: $f, last: $l", "($f: Int, $l: Int)"), {"l": 50}, 51),
        (page("first: $f, last: $l", "($f: Int = null, $l: Int = 50)"), {"f": None}, 51),
        (f"query ($ids: [ID!]! = {LITERAL}) {{ nodes(ids: $ids) {{ id }} }}", {}, 90),
        ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": IDS}, 90),
        ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": IDS[0]}, 1),
        ("{ tags { name } }", {}, 15),
        ("{ contacts(first: 2) { totalCount } }", {}, 11),
        ("{ lists(first: 3) { nodes { contactCount } } }", {}, 1 + 3 * 11),
        ("{ lists(first: 3) { nodes { id a: contactCount b: contactCount } } }", {}, 1 + 3 * 21),
        ("{ contacts(first: 2) { nodes { events(first: 5) { totalCount } } } }", {}, 1 + 2 * (1 + 11)),
        ("{ node(id: $x) { ... on Campaign { audience { count } } } }".replace("$x", f'"{IDS[0]}"'), {}, 12),
        (SAME_KEY, {"id": IDS[0]}, 1 + 3 + 91),
    ],
)
async def test_queries_cost_at_most_the_charged_points(
    caller: ApiClient, query: str, variables: dict[str, Any], requested: int
) -> None:
    """Null, whole floats, defaults, `first` and `last`: each size is counted as execution uses it."""
    reply = await caller.send(query, variables)
    cost = reply.body["extensions"]["cost"]
    assert cost["requested"] == requested
    assert cost["actual"] <= cost["requested"]


@pytest.mark.parametrize("size", ["many", 1e300, 1.5, [], True])
async def test_an_invalid_size_is_refused(caller: ApiClient, size: object) -> None:
    """A size that is not an integer, or far too large, never runs."""
    reply = await caller.send(page("first: $n", "($n: Int)"), {"n": size})
    assert reply.status == 400
    assert reply.codes in (["BAD_USER_INPUT"], ["COST_EXCEEDED"])


async def test_mutations_cost_at_most_the_charged_points(caller: ApiClient, runtime: Runtime, owner: Actor) -> None:
    """A payload's rows are counted once for each id or row in the input."""
    ids = [encode_global_id("Contact", one) for one in await factories.contacts(runtime, owner, 40)]
    inline = WHOLE.replace("($input: AddTagsInput!)", "").replace(
        "$input", f'{{contactIds: {id_list(ids)}, tags: "b"}}'
    )
    rows = [{"email": f"row-{number}@example.com"} for number in range(100)]
    for query, variables, requested in (
        (ADD_TAGS, {"ids": ids}, 11 + 40 * (1 + 5 + 101)),
        (WHOLE, {"input": {"contactIds": ids, "tags": ["a"]}}, 11 + 40),
        (inline, {}, 11 + 40),
        (UPSERT, {"rows": rows}, 11 + 100 * 2),
        (UPSERT, {"rows": rows[0]}, 11 + 2),
    ):
        reply = await caller.send(query, variables)
        cost = reply.body["extensions"]["cost"]
        assert cost["requested"] == requested
        assert 11 < cost["actual"] <= requested
        assert "userErrors': [{" not in str(reply.data)


async def test_longer_lists_than_estimated_are_charged_afterwards(runtime: Runtime) -> None:
    """When a list is longer than estimated, the difference is taken from the budget afterwards."""
    actor = await factories.organization(runtime)
    for number in range(12):
        await factories.contacts(runtime, actor, 1, tag=f"tag-{number}")
    async with served(with_settings(runtime, graphql={"cost_per_minute": 10_000})) as server:
        reply = await ApiClient(server.url, factories.token(runtime, actor)).send("{ tags { name } }")
    cost = reply.body["extensions"]["cost"]
    assert (cost["requested"], cost["actual"], cost["remaining"]) == (15, 22, 10_000 - 22)


@strawberry.type
class Costly:
    @on_demand("Letters.", cost=10)
    def letters(self) -> list[str]:
        """Scalar values: they are counted together."""
        return ["a", "b", "c"]

    @on_demand("A number.", cost=10)
    def number(self) -> int:
        """One value."""
        return 1


@strawberry.type
class CostlyQuery(Costly):
    @strawberry.field
    def all(self) -> list[Costly]:
        """Three objects."""
        return [Costly()] * 3

    @strawberry.field
    def some(self) -> list[Costly | None]:
        """Two objects and a null."""
        return [Costly(), None, Costly()]


@pytest.mark.parametrize(
    ("query", "requested", "actual"),
    [
        ("{ number }", 10, 10),
        ("{ letters }", 10, 10),
        ("{ all { number } }", 55, 33),
        ("{ all { letters number } }", 105, 63),
        ("{ some { letters } }", 55, 23),
    ],
)
def test_a_list_of_scalars_costs_once_whatever_its_length(query: str, requested: int, actual: int) -> None:
    """A field with a declared cost costs that for each object, and never more than was requested."""
    schema = strawberry.Schema(query=CostlyQuery)
    document = parse(query)
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    nodes = cost_analysis.analyze(schema._schema, operation, {}, max_nodes=100)
    result = schema.execute_sync(query, root_value=CostlyQuery())
    assert (costs.requested(nodes, {}), costs.actual(nodes, result.data)) == (requested, actual)


@pytest.mark.parametrize(
    ("node", "value", "cost"),
    [
        (CostNode(key="a", weight=1, own_cost=10), "text", 11),
        (CostNode(key="a", weight=1, own_cost=10), ["x", "y"], 12),
        (
            CostNode(key="a", weight=1, non_null=True, children=(CostNode(key="b", weight=2),)),
            [{"b": 1}, {"b": 2}],
            6,
        ),
        (
            CostNode(key="a", weight=1, non_null=True, children=(CostNode(key="b", weight=2, own_cost=20),)),
            [{"b": 1}, {"b": 2}],
            46,
        ),
        (CostNode(key="a", weight=1, children=(CostNode(key="b", weight=2),)), [{"b": 1}, None], 4),
        (
            CostNode(key="a", weight=1, non_null=True, children=(CostNode(key="b", weight=2, is_single=False),)),
            [{"b": [1, 2]}],
            5,
        ),
        (
            CostNode(
                key="a",
                weight=1,
                non_null=True,
                children=(CostNode(key="b", weight=1, children=(CostNode(key="c", weight=5),)),),
            ),
            [{"b": {"c": 1}}, {"b": None}],
            1 + 1 + 5 + 1 + 1,
        ),
    ],
)
def test_actual_costs(node: CostNode, value: object, cost: int) -> None:
    """A field's weight for each of its objects, with the costs below them, and its own cost once."""
    assert node.actual(value) == cost
