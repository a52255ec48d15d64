"""Campaigns as a list and as nodes, and the number of statements for reading them."""

import pytest

from core.access.permissions import Role
from core.ids import new_id
from models.campaigns import CampaignStatus
from runtime import Runtime
from services.campaigns.lifecycle import change_status
from tests import factories
from tests.campaigns.calls import CREATE, UPDATE, caller, gid, mutate
from tests.client import ApiClient
from tests.statements import statements

PAGE = """
query ($first: Int, $last: Int, $after: String, $before: String, $filter: CampaignFilter, $sort: CampaignSort) {
  campaigns(first: $first, last: $last, after: $after, before: $before, filter: $filter, sort: $sort) {
    nodes { name } edges { cursor } totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }
"""
WHOLE = """
{ campaigns(first: 20) { nodes { id name htmlContent textContent author { fullName }
    audience { all tags count lists { name } } stats { sent deliveryRate } progress { pending percent } } } }
"""


async def names(api: ApiClient, **variables: object) -> list[str]:
    """The names on a page."""
    data = await api.execute(PAGE, variables)
    return [node["name"] for node in data["campaigns"]["nodes"]]


async def add_campaigns(api: ApiClient, how_many: int) -> None:
    """Campaigns named `Campaign 0` and so on, the last one newest."""
    for number in range(how_many):
        await mutate(api, CREATE, name=f"Campaign {number}", htmlContent="<p>x</p>", audience={"all": True})


async def test_pages_cover_the_list(api: ApiClient, runtime: Runtime) -> None:
    """Newest first, page by page in both directions, with the total if it is selected."""
    mine = caller(api, runtime, await factories.organization(runtime))
    await add_campaigns(mine, 5)
    first = (await mine.execute(PAGE, {"first": 2}))["campaigns"]
    assert [node["name"] for node in first["nodes"]] == ["Campaign 4", "Campaign 3"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (5, True)
    end = first["pageInfo"]["endCursor"]
    assert await names(mine, first=2, after=end) == ["Campaign 2", "Campaign 1"]
    assert await names(mine, last=1, before=end) == ["Campaign 4"]
    assert await names(mine, last=2) == ["Campaign 1", "Campaign 0"]
    by_name = {"field": "NAME", "direction": "ASC"}
    assert await names(mine, first=2, sort=by_name) == ["Campaign 0", "Campaign 1"]


@pytest.mark.parametrize(("field", "ascending"), [("CREATED_AT", "bca"), ("UPDATED_AT", "bac"), ("NAME", "abc")])
async def test_the_list_can_be_sorted(api: ApiClient, runtime: Runtime, field: str, ascending: str) -> None:
    """Each order has its own column, in both directions."""
    mine = caller(api, runtime, await factories.organization(runtime))
    ids = {name: (await mutate(mine, CREATE, name=name))["campaign"]["id"] for name in "bca"}
    await mutate(mine, UPDATE, campaignId=ids["c"], subject="Changed last")
    for direction, expected in (("ASC", ascending), ("DESC", ascending[::-1])):
        assert "".join(await names(mine, sort={"field": field, "direction": direction})) == expected


async def test_the_list_can_be_filtered(api: ApiClient, runtime: Runtime) -> None:
    """By status, by part of the name, by time, and by combinations of these."""
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    await add_campaigns(mine, 3)
    sent = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await change_status(uow, sent, CampaignStatus.PREPARING)
    assert await names(mine, filter={"status": {"in": ["PREPARING", "SENT"]}}) == ["Spring"]
    assert await names(mine, filter={"status": {"eq": "DRAFT", "in": ["PREPARING"]}}) == []
    assert await names(mine, filter={"name": {"contains": "PAIGN 1"}}) == ["Campaign 1"]
    assert await names(mine, filter={"name": {"contains": "%"}}) == []
    either = [{"name": {"contains": "spring"}}, {"name": {"contains": "2"}}]
    assert await names(mine, filter={"or": either}) == ["Spring", "Campaign 2"]
    assert await names(mine, filter={"and": [*either]}) == []
    assert (
        await names(mine, filter={"createdAt": {"gte": "2020-01-01T00:00:00Z", "lt": "2021-01-01T00:00:00Z"}}) == []
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"first": 0},
        {"first": 101},
        {"after": "nonsense"},
        {"filter": {"name": {"contains": "\u0000"}}},
        {"filter": {"or": [{"status": {"eq": "DRAFT"}}] * 60}},
    ],
)
async def test_invalid_page_arguments_are_bad_input(
    api: ApiClient, runtime: Runtime, variables: dict[str, object]
) -> None:
    """An invalid size, cursor or filter is the top-level error BAD_USER_INPUT."""
    mine = caller(api, runtime, await factories.organization(runtime))
    assert (await mine.send(PAGE, variables)).codes == ["BAD_USER_INPUT"]


async def test_a_page_takes_as_many_statements_as_one_row(api: ApiClient, runtime: Runtime) -> None:
    """Texts, authors, audiences and figures are each one statement, for one campaign as for eight."""
    statement_counts = []
    for how_many in (1, 8):
        mine = caller(api, runtime, await factories.organization(runtime))
        await add_campaigns(mine, how_many)
        await mine.execute("{ viewer { id } }")
        with statements(runtime) as queries:
            data = await mine.execute(WHOLE)
        assert len(data["campaigns"]["nodes"]) == how_many
        statement_counts.append(len(queries))
    assert statement_counts[0] == statement_counts[1] <= 7


async def test_contents_are_not_read_unless_selected(api: ApiClient, runtime: Runtime) -> None:
    """A list of names does not read megabytes of HTML from the database."""
    mine = caller(api, runtime, await factories.organization(runtime))
    await add_campaigns(mine, 1)
    with statements(runtime) as queries:
        await names(mine)
    assert not any("html_content" in statement for statement, _ in queries)


async def test_a_campaign_is_a_node(api: ApiClient, runtime: Runtime) -> None:
    """`node` and `campaign` return the same; an id of another organization gives null, like an unknown one."""
    owner = await factories.organization(runtime)
    campaign_id = gid(await factories.campaign(runtime, owner))
    query = "query ($id: ID!) { node(id: $id) { ... on Campaign { name } } campaign(id: $id) { name } }"
    viewer = caller(api, runtime, owner)
    assert await viewer.execute(query, {"id": campaign_id}) == {
        "node": {"name": "Spring"},
        "campaign": {"name": "Spring"},
    }
    other = caller(api, runtime, await factories.organization(runtime, role=Role.VIEWER))
    for value in (campaign_id, gid(new_id()), "nonsense"):
        assert await other.execute(query, {"id": value}) == {"node": None, "campaign": None}
    assert await names(other) == []
