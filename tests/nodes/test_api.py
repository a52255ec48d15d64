"""`nodes(ids)` with objects of several types."""

from dataclasses import replace

import pytest

from core.access.permissions import Permission, Role
from core.access.rights import RIGHTS
from core.ids import encode_global_id, new_id
from runtime import Runtime
from services import lists, templates
from tests import factories
from tests.client import ApiClient
from tests.statements import statements

NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"


async def test_nodes_of_a_type_are_one_statement(api: ApiClient, runtime: Runtime) -> None:
    """Mixed types, duplicates and unknown ids keep the requested order; a hundred take no more than a few."""
    owner = await factories.organization(runtime)
    client = api.as_(factories.token(runtime, owner))
    async with runtime.work.begin(owner) as uow:
        made_list = await lists.create(uow, "News")
        made_template = await templates.create(uow, {"name": "News"})
    people = [encode_global_id("Contact", key) for key in await factories.contacts(runtime, owner, 40)]
    campaigns = [encode_global_id("Campaign", await factories.campaign(runtime, owner)) for _ in range(3)]
    others = [
        encode_global_id("List", made_list.id),
        encode_global_id("Template", made_template.id),
        encode_global_id("User", owner.require_user_id()),
        encode_global_id("Organization", owner.organization_id),
    ]
    unknown = [encode_global_id("Contact", new_id()), encode_global_id("Nothing", new_id()), "x", ""]
    requested = [*people[:20], *unknown, *others, *campaigns, *people[20:], people[0], others[0]]
    await client.execute(NODES, {"ids": []})
    with statements(runtime) as queries:
        nodes = (await client.execute(NODES, {"ids": requested}))["nodes"]
    assert [node and node["id"] for node in nodes] == [None if value in unknown else value for value in requested]
    assert len(queries) == 6


async def test_nodes_without_the_permission_are_null(
    api: ApiClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each type requires its own permission; other nodes of the response are not affected."""
    usual = RIGHTS[Role.VIEWER]
    monkeypatch.setitem(
        RIGHTS, Role.VIEWER, replace(usual, permissions=usual.permissions - {Permission.CONTACT_READ})
    )
    viewer = await factories.organization(runtime, role=Role.VIEWER)
    contact = encode_global_id("Contact", (await factories.contacts(runtime, viewer, 1))[0])
    user = encode_global_id("User", viewer.require_user_id())
    client = api.as_(factories.token(runtime, viewer))
    nodes = (await client.execute(NODES, {"ids": [contact, user]}))["nodes"]
    assert nodes == [None, {"__typename": "User", "id": user}]
