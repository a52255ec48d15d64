"""Templates and previews over HTTP."""

from dataclasses import replace
from typing import Any

import pytest

from core.access.permissions import Permission, Role
from core.access.rights import RIGHTS
from core.ids import encode_global_id, new_id
from runtime import Runtime
from tests import factories
from tests.campaigns.calls import CREATE as CREATE_CAMPAIGN
from tests.campaigns.calls import ERRORS, caller, mutate
from tests.client import ApiClient

FIELDS = "template { id name subject htmlContent textContent }"
CREATE = f"mutation ($input: CreateTemplateInput!) {{ createTemplate(input: $input) {{ {FIELDS} {ERRORS} }} }}"
UPDATE = f"mutation ($input: UpdateTemplateInput!) {{ updateTemplate(input: $input) {{ {FIELDS} {ERRORS} }} }}"
DELETE = (
    "mutation ($input: DeleteTemplateInput!) { deleteTemplate(input: $input) {"
    f" deletedTemplateId {FIELDS} {ERRORS} }} }}"
)
PREVIEW = (
    "query ($input: RenderPreviewInput!) { renderPreview(input: $input) { subject htmlContent textContent "
    + ERRORS
    + " } }"
)
LIST = "{ templates(first: 10) { nodes { name } totalCount } }"
CAMPAIGN = "query ($id: ID!) { campaign(id: $id) { subject htmlContent textContent } }"
ONE = "query ($id: ID!) { template(id: $id) { name } node(id: $id) { id } }"


async def user_errors(api: ApiClient, mutation: str, **values: object) -> list[tuple[str, list[str]]]:
    """Codes and fields of a mutation that must not succeed."""
    payload = next(iter((await api.execute(mutation, {"input": values})).values()))
    assert payload["template"] is None
    return [(error["code"], error["field"]) for error in payload["userErrors"]]


async def preview(api: ApiClient, **values: object) -> dict[str, Any]:
    """A preview."""
    payload: dict[str, Any] = (await api.execute(PREVIEW, {"input": values}))["renderPreview"]
    return payload


async def test_a_template_from_creation_to_deletion(api: ApiClient, runtime: Runtime) -> None:
    """It is listed, read, changed in the given fields, and unknown after its deletion."""
    mine = caller(api, runtime, await factories.organization(runtime))
    template = (await mutate(mine, CREATE, name="News", subject="S", htmlContent="<p>x</p>"))["template"]
    assert (template["name"], template["subject"], template["textContent"]) == ("News", "S", "")
    assert (await mine.execute(LIST))["templates"] == {"nodes": [{"name": "News"}], "totalCount": 1}
    updated = (await mutate(mine, UPDATE, templateId=template["id"], subject=None, textContent="T"))["template"]
    assert (updated["subject"], updated["textContent"], updated["htmlContent"]) == ("", "T", "<p>x</p>")
    assert await mine.execute(ONE, {"id": template["id"]}) == {
        "template": {"name": "News"},
        "node": {"id": template["id"]},
    }
    assert (await mutate(mine, DELETE, templateId=template["id"]))["deletedTemplateId"] == template["id"]
    assert await mine.execute(ONE, {"id": template["id"]}) == {"template": None, "node": None}


async def test_a_campaign_starts_from_a_template(api: ApiClient, runtime: Runtime) -> None:
    """Texts omitted in the input are those of the template; later changes of the template affect no campaign."""
    mine = caller(api, runtime, await factories.organization(runtime))
    content = {"subject": "From template", "htmlContent": "<p>x</p>", "textContent": "T"}
    template = (await mutate(mine, CREATE, name="News", **content))["template"]
    campaign_values = {"templateId": template["id"], "htmlContent": "<p>own</p>"}
    campaign = (await mutate(mine, CREATE_CAMPAIGN, name="C", **campaign_values))["campaign"]
    texts = {"subject": "From template", "htmlContent": "<p>own</p>", "textContent": "T"}
    assert {name: campaign[name] for name in texts} == texts
    for change, values in (
        (UPDATE, {"subject": "Later", "htmlContent": "<p>y</p>", "textContent": "L"}),
        (DELETE, {}),
    ):
        await mutate(mine, change, templateId=template["id"], **values)
        assert (await mine.execute(CAMPAIGN, {"id": campaign["id"]}))["campaign"] == texts


async def test_invalid_input_is_refused_at_its_field(api: ApiClient, runtime: Runtime) -> None:
    """A taken name and an invalid text each have an error at their field."""
    mine = caller(api, runtime, await factories.organization(runtime))
    template = (await mutate(mine, CREATE, name="News"))["template"]
    other = (await mutate(mine, CREATE, name="Other"))["template"]
    assert await user_errors(mine, CREATE, name="News") == [("TAKEN", ["input", "name"])]
    assert await user_errors(mine, UPDATE, templateId=other["id"], name="News") == [("TAKEN", ["input", "name"])]
    broken = await user_errors(mine, UPDATE, templateId=template["id"], htmlContent="{{ x")
    assert broken == [("TEMPLATE_INVALID", ["input", "htmlContent"])]


@pytest.mark.parametrize("mutation", [UPDATE, DELETE])
async def test_a_template_of_another_organization_is_unknown(api: ApiClient, runtime: Runtime, mutation: str) -> None:
    """Its id, an unknown id and an invalid id are all NOT_FOUND."""
    theirs = caller(api, runtime, await factories.organization(runtime))
    template = (await mutate(theirs, CREATE, name="Theirs"))["template"]
    mine = caller(api, runtime, await factories.organization(runtime))
    for value in (template["id"], encode_global_id("Template", new_id()), "x"):
        assert await user_errors(mine, mutation, templateId=value) == [("NOT_FOUND", ["input", "templateId"])]


async def test_a_preview_shows_a_contact_or_the_sample_contact(api: ApiClient, runtime: Runtime) -> None:
    """Fields are rendered and escaped, the footer is there, and the unsubscribe link does not work."""
    owner = await factories.organization(runtime, role=Role.VIEWER)
    mine = caller(api, runtime, owner)
    contact_id = (await factories.contacts(runtime, owner, 1))[0]
    texts = {"subject": "Hi {{ contact.firstName }}", "htmlContent": "<p>{{ contact.lastName | default: '<b>' }}</p>"}
    ada = await preview(mine, **texts)
    assert ada["subject"] == "Hi Ada"
    assert "<p>Lovelace</p>" in ada["htmlContent"]
    assert "https://unsubscribe.invalid/" in ada["htmlContent"]
    assert "Lovelace" in ada["textContent"]
    contact_preview = await preview(mine, **texts, contactId=encode_global_id("Contact", contact_id))
    assert "Lovelace" not in contact_preview["htmlContent"]


async def test_a_preview_for_an_unknown_contact_is_a_user_error(api: ApiClient, runtime: Runtime) -> None:
    """A contact of another organization, an unknown id and an invalid id give the same user error."""
    mine = caller(api, runtime, await factories.organization(runtime))
    theirs = (await factories.contacts(runtime, await factories.organization(runtime), 1))[0]
    for value in (encode_global_id("Contact", theirs), encode_global_id("Contact", new_id()), "x"):
        payload = await preview(mine, subject="Hi", contactId=value)
        assert payload["subject"] is None
        assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [
            ("NOT_FOUND", ["input", "contactId"])
        ]


async def test_a_preview_with_a_contact_requires_the_permission_to_read_contacts(
    api: ApiClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that may only read campaigns sees the sample contact, and no real one."""
    usual = RIGHTS[Role.VIEWER]
    monkeypatch.setitem(
        RIGHTS, Role.VIEWER, replace(usual, permissions=usual.permissions - {Permission.CONTACT_READ})
    )
    viewer = await factories.organization(runtime, role=Role.VIEWER)
    contact_id = encode_global_id("Contact", (await factories.contacts(runtime, viewer, 1))[0])
    mine = caller(api, runtime, viewer)
    assert (await preview(mine, subject="Hi {{ contact.firstName }}"))["subject"] == "Hi Ada"
    assert (await mine.send(PREVIEW, {"input": {"subject": "Hi", "contactId": contact_id}})).codes == ["FORBIDDEN"]


async def test_a_preview_of_an_invalid_template_has_the_position(api: ApiClient, runtime: Runtime) -> None:
    """Errors are in the payload, so that an editor can show them while its user types."""
    mine = caller(api, runtime, await factories.organization(runtime))
    payload = await preview(mine, htmlContent="{% if %}")
    assert (payload["subject"], payload["htmlContent"]) == (None, None)
    assert [error["code"] for error in payload["userErrors"]] == ["TEMPLATE_INVALID"]
    assert "line 1, column" in payload["userErrors"][0]["message"]
