"""An error stays in its root field: the others have data."""

import pytest

from core.access.permissions import Permission
from runtime import Runtime
from tests import factories
from tests.access.asking import EVERYTHING, answer, objects, with_permissions
from tests.client import ApiClient
from tests.serving import Served


async def test_a_failed_query_field_leaves_the_others_intact(runtime: Runtime, probe: ApiClient) -> None:
    """Whether it is a bug, a refusal or a permission; each has its error, with its path."""
    owner = await factories.organization(runtime)
    client = probe.as_(factories.token(runtime, owner))
    reply = await client.send(
        "{ viewer { email } bug invalid campaigns { nodes { id } } leaves(first: 1) { totalCount } }"
    )
    data = reply.body["data"]
    assert reply.status == 200
    assert (data["bug"], data["invalid"]) == (None, None)
    assert data["viewer"]["email"]
    assert (data["campaigns"], data["leaves"]) == ({"nodes": []}, {"totalCount": 3})
    assert {tuple(error["path"]) for error in reply.body["errors"]} == {("bug",), ("invalid",)}


async def test_a_forbidden_list_leaves_the_viewer_intact(runtime: Runtime, api_server: Served) -> None:
    """A caller who may not read contacts gets the rest of a dashboard."""
    owner = await factories.organization(runtime)
    actor = with_permissions(owner, EVERYTHING - {Permission.CONTACT_READ})
    body = await answer(api_server, runtime, actor, "{ contacts { nodes { id } } lists { totalCount } }", {})
    assert body["data"] == {"contacts": None, "lists": {"totalCount": 0}}
    assert [(error["path"], error["extensions"]["code"]) for error in body["errors"]] == [(["contacts"], "FORBIDDEN")]


async def test_a_failed_mutation_leaves_the_others_intact(runtime: Runtime, api_server: Served) -> None:
    """Those before and after it are committed, and have data."""
    owner = await factories.organization(runtime)
    actor = with_permissions(owner, EVERYTHING - {Permission.TEMPLATE_WRITE})
    query = """mutation {
      before: createList(input: {name: "Before"}) { list { name } userErrors { code } }
      failed: createTemplate(input: {name: "Never"}) { template { name } userErrors { code } }
      after: createList(input: {name: "After"}) { list { name } userErrors { code } }
    }"""
    body = await answer(api_server, runtime, actor, query, {})
    assert body["data"] == {
        "before": {"list": {"name": "Before"}, "userErrors": []},
        "failed": None,
        "after": {"list": {"name": "After"}, "userErrors": []},
    }
    assert [error["path"] for error in body["errors"]] == [["failed"]]


@pytest.mark.parametrize(
    ("missing", "query", "left"),
    [
        (Permission.CONTACT_READ, "name deliveries { nodes { id } }", {"name": "Spring", "deliveries": None}),
        (
            Permission.LIST_READ,
            "audience { all lists { id } excludeLists { id } }",
            {"audience": {"all": True, "lists": None, "excludeLists": None}},
        ),
    ],
)
async def test_a_forbidden_field_leaves_its_object_intact(  # noqa: PLR0917 - fixtures and cases
    runtime: Runtime, api: ApiClient, api_server: Served, missing: Permission, query: str, left: dict[str, object]
) -> None:
    """The field is null, with its error; its siblings have data."""
    owner = await factories.organization(runtime)
    campaign = (await objects(runtime, api, owner))["Campaign"]
    actor = with_permissions(owner, EVERYTHING - {missing})
    document = f"query ($id: ID!) {{ campaign(id: $id) {{ {query} }} }}"
    body = await answer(api_server, runtime, actor, document, {"id": campaign})
    assert body["data"]["campaign"] == left
    assert {error["extensions"]["code"] for error in body["errors"]} == {"FORBIDDEN"}
