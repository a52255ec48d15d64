"""A campaign's figures are read together with it, and only the selected columns."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import DateTime, insert, update
from strawberry.types import get_object_definition
from strawberry.utils.str_converters import to_camel_case

import execution
from core.access.actor import Actor
from core.ids import new_id
from models.campaigns import Campaign, CampaignStats
from runtime import Runtime
from schema.campaigns import campaign as schema
from services.campaigns.listing import CAMPAIGNS, CampaignRow
from tests import factories
from tests.campaigns.calls import caller, gid
from tests.client import ApiClient
from tests.statements import statements

STATS = {
    "audience": 100,
    "sent": 88,
    "delivered": 80,
    "opened": 40,
    "clicked": 10,
    "bounced": 5,
    "complained": 3,
    "unsubscribed": 2,
    "openRate": 0.5,
    "clickRate": 0.125,
    "deliveryRate": 0.9091,
}
# From the row and the schema, so that fields missing in the resolver's own list of columns are among them.
FIELDS = sorted(
    {to_camel_case(column.removesuffix("_id")) for column in CampaignRow._fields}
    & {to_camel_case(field.python_name) for field in get_object_definition(schema.Campaign, strict=True).fields}
)
INSIDE = {"author": "{ fullName }", "sender": "{ name }"}
MOMENT = datetime(2026, 5, 3, 10, 11, 12, tzinfo=UTC)
TIMES = [column.key for column in Campaign.__table__.columns if column.nullable and isinstance(column.type, DateTime)]
FILLED = {
    "status_reason": "Because.",
    "template_id": new_id(),
    "settings": {"known": True},
    **{name: MOMENT + timedelta(day) for day, name in enumerate(TIMES)},
}


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile each operation at its second execution, independently of earlier tests."""
    monkeypatch.setattr(execution.limits, "time_share", 1000.0)


async def read_twice(mine: ApiClient, query: str, campaign_id: UUID) -> list[Any]:
    """A query's result for the campaign, first interpreted and then by its compiled plan."""
    variables = {"id": gid(campaign_id)}
    answers = [(await mine.execute(query, variables))["campaign"] for _ in range(2)]
    before = execution.statistics()["executed"]
    answers.append((await mine.execute(query, variables))["campaign"])
    assert execution.statistics()["executed"] == before + 1
    return answers


@pytest.fixture(scope="module")
async def owner(runtime: Runtime) -> Actor:
    """The owner of the campaign."""
    return await factories.organization(runtime)


@pytest.fixture(scope="module")
async def campaign_id(runtime: Runtime, owner: Actor) -> UUID:
    """A campaign whose figures are all different, and whose columns all have values."""
    campaign = await factories.campaign(runtime, owner)
    sender_id = await factories.sender(runtime, owner)
    counts = {"audience": 100, "accepted": 70, "delivered": 10, "bounced": 5, "complained": 3, "skipped": 12}
    values = {**counts, "reached": 80, "opened": 40, "clicked": 10, "unsubscribed": 2}
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(CampaignStats).where(CampaignStats.campaign_id == campaign).values(values))
        columns = {"sender_id": sender_id, "from_sender_id": sender_id, "from_header": "Acme <news@acme.example>"}
        await uow.execute(update(Campaign).where(Campaign.id == campaign).values(FILLED | columns))
    row = await CAMPAIGNS.get(runtime.reads(owner.tenant), campaign)
    assert row is not None
    assert None not in row
    return campaign


@pytest.mark.parametrize("name", STATS)
async def test_each_figure_is_right_alone_and_with_others(
    api: ApiClient, runtime: Runtime, owner: Actor, campaign_id: UUID, name: str
) -> None:
    """The columns of a figure are read with it; twice, so that a compiled plan reads them too."""
    mine = caller(api, runtime, owner)
    for selected in (name, " ".join(STATS)):
        query = f"query ($id: ID!) {{ campaign(id: $id) {{ stats {{ {selected} }} }} }}"
        assert [row["stats"][name] for row in await read_twice(mine, query, campaign_id)] == [STATS[name]] * 3


@pytest.mark.parametrize("field", FIELDS)
async def test_each_field_is_the_same_with_figures_and_without(
    api: ApiClient, runtime: Runtime, owner: Actor, campaign_id: UUID, field: str
) -> None:
    """The columns of a selection are read, whichever statement reads them."""
    mine = caller(api, runtime, owner)
    answers = []
    for more in ("", "stats { opened }", "progress { percent sequence }"):
        query = f"query ($id: ID!) {{ campaign(id: $id) {{ {field} {INSIDE.get(field, '')} {more} }} }}"
        answers += [row[field] for row in await read_twice(mine, query, campaign_id)]
    assert answers[0] is not None
    assert answers == [answers[0]] * 9


@pytest.mark.parametrize("field", ["htmlContent", "textContent", "audience { all }", "deliveries { totalCount }"])
async def test_relations_by_id_need_no_other_column(
    api: ApiClient, runtime: Runtime, owner: Actor, campaign_id: UUID, field: str
) -> None:
    """With figures the id is read although it is not selected."""
    mine = caller(api, runtime, owner)
    answers = []
    for more in ("", "stats { opened }"):
        query = f"query ($id: ID!) {{ campaign(id: $id) {{ {field} {more} }} }}"
        answers += [row[field.split(maxsplit=1)[0]] for row in await read_twice(mine, query, campaign_id)]
    assert answers[0] is not None
    assert answers == [answers[0]] * 6


async def test_a_campaign_and_its_figures_are_one_statement(
    api: ApiClient, runtime: Runtime, owner: Actor, campaign_id: UUID
) -> None:
    """From the second execution on, only the selected columns are read."""
    mine = caller(api, runtime, owner)
    query = "query ($id: ID!) { campaign(id: $id) { name stats { opened } } }"
    await mine.execute(query, {"id": gid(campaign_id)})
    with statements(runtime) as queries:
        await mine.execute(query, {"id": gid(campaign_id)})
    [(text, _)] = [statement for statement in queries if "campaign_stats" in statement[0]]
    assert "campaigns.name" in text
    assert "campaign_stats.opened" in text
    assert "campaigns.settings" not in text
    assert "campaign_stats.clicked" not in text


@pytest.mark.parametrize("selection", ["stats { opened }", "progress { percent sequence }"])
async def test_a_campaign_without_figures_is_the_same_error_everywhere(
    api: ApiClient, runtime: Runtime, selection: str
) -> None:
    """The campaign exists, so the error is about the figures, whichever statement reads them."""
    owner = await factories.organization(runtime)
    new_campaign = new_id()
    async with runtime.work.begin(owner) as uow:
        await uow.execute(
            insert(Campaign).values(
                id=new_campaign,
                organization_id=owner.organization_id,
                name="Spring",
                subject="Hello",
                html_content="",
            )
        )
    mine = caller(api, runtime, owner)
    answers = []
    for field in ("campaign(id: $id)", "node(id: $id)"):
        query = f"query ($id: ID!) {{ node: {field} {{ ... on Campaign {{ name {selection} }} }} }}"
        for _ in range(2):
            answer = await mine.send(query, {"id": gid(new_campaign)})
            [error] = answer.body["errors"]
            answers.append((answer.body["data"], error["message"], error["path"], error["extensions"]["code"]))
    assert answers == [({"node": None}, answers[0][1], ["node", selection.split(maxsplit=1)[0]], "NOT_FOUND")] * 4
    query = "query ($id: ID!) { campaign(id: $id) { name } }"
    assert (await mine.execute(query, {"id": gid(new_campaign)}))["campaign"] == {"name": "Spring"}
