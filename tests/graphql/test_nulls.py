"""Omitted and null: what each does for every argument and input field that may be null.

Which of the three cases applies (null is as omitted, null is refused, null has a meaning of its own) is read from the
schema, so that a new field is always included.
"""

from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pytest
from graphql import GraphQLInputObjectType, is_non_null_type
from sqlalchemy import insert

from core.ids import encode_global_id, new_id
from models.contact_events import ContactEvent, ContactEventKind
from resolvers import build_schema
from runtime import Runtime
from schema.nulls import ALL_REFUSED, AS_OMITTED, REFUSED
from tests import factories
from tests.client import ApiClient

schema = build_schema()._schema
assert schema.query_type is not None
ROOT = schema.query_type.fields
INPUTS = {
    f"{kind.name}.{name}": field
    for kind in schema.type_map.values()
    if isinstance(kind, GraphQLInputObjectType)
    for name, field in kind.fields.items()
    if not is_non_null_type(field.type)
}
FILTERS = {place for place in INPUTS if place.partition(".")[0].endswith("Filter")}
WITHOUT_NULLS = {
    name for name, kind in schema.type_map.items() if kind.description and ALL_REFUSED in kind.description
}
REFUSING = {
    place
    for place, field in INPUTS.items()
    if REFUSED in (field.description or "") or place.partition(".")[0] in WITHOUT_NULLS
} - FILTERS
ALIKE = {place for place, field in INPUTS.items() if AS_OMITTED in (field.description or "")}


TEXTS = "subject htmlContent textContent"
AUDIENCE = "audience { all tags excludeTags lists { id } excludeLists { id } }"
CAMPAIGN = f"campaign {{ name {TEXTS} onDoubt sender {{ id }} {AUDIENCE} }}"
CONTACT = "contact { firstName lastName customFields tags timeZone lists { id } }"
DRAFT: dict[str, Any] = {
    "name": "Draft",
    "subject": "Hello",
    "htmlContent": "<p>Hello</p>",
    "textContent": "Hello",
    "audience": {"all": True},
    "settings": {"onDoubt": "HOLD"},
}
PERSON: dict[str, Any] = {
    "firstName": "Ada",
    "lastName": "Lovelace",
    "customFields": {"plan": "pro"},
    "tags": ["vip"],
    "timeZone": "Europe/London",
}


async def draft(client: ApiClient, **more: Any) -> str:  # noqa: ANN401 - an input of any shape
    """The id of a campaign with a value in each text and setting."""
    query = "mutation ($input: CreateCampaignInput!) { createCampaign(input: $input) { campaign { id } } }"
    campaign_id: str = (await client.execute(query, {"input": DRAFT | more}))["createCampaign"]["campaign"]["id"]
    return campaign_id


async def person(client: ApiClient) -> str:
    """The id of a contact with a value in each field."""
    query = "mutation ($input: CreateContactInput!) { createContact(input: $input) { contact { id } } }"
    values = PERSON | {"email": f"{new_id().hex}@example.com"}
    contact_id: str = (await client.execute(query, {"input": values}))["createContact"]["contact"]["id"]
    return contact_id


async def template(client: ApiClient) -> str:
    """The id of a template with each kind of text."""
    query = "mutation ($input: CreateTemplateInput!) { createTemplate(input: $input) { template { id } } }"
    values = {name: DRAFT[name] for name in TEXTS.split()} | {"name": new_id().hex}
    template_id: str = (await client.execute(query, {"input": values}))["createTemplate"]["template"]["id"]
    return template_id


async def address(client: ApiClient) -> str:
    """An address that no contact has."""
    del client
    return f"{new_id().hex}@example.com"


async def name(client: ApiClient) -> str:
    """A name that is not in use."""
    del client
    return new_id().hex


NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Call(NamedTuple):
    """A mutation or query, its minimal input, functions that create values, and the path of its fields."""

    operation: str
    selected: str
    least: Mapping[str, Any] = NOTHING
    creators: Mapping[str, Callable[[ApiClient], Awaitable[str]]] = NOTHING
    at: tuple[str, ...] = ()


NAMED = {"name": "Draft"}
CALLS = {
    "CreateCampaignInput": Call("createCampaign", CAMPAIGN, NAMED),
    "AudienceInput": Call("createCampaign", CAMPAIGN, NAMED | {"audience": {"all": True}}, at=("audience",)),
    "CampaignSettingsInput": Call("updateCampaign", CAMPAIGN, {"settings": {}}, {"campaignId": draft}, ("settings",)),
    "UpdateCampaignInput": Call("updateCampaign", CAMPAIGN, creators={"campaignId": draft}),
    "ArchiveCampaignInput": Call("archiveCampaign", CAMPAIGN, creators={"campaignId": draft}),
    "SendCampaignInput": Call("sendCampaign", "campaign { name }", creators={"campaignId": draft}),
    "SendTestEmailInput": Call("sendTestEmail", "sentTo", {"to": []}, {"campaignId": draft}),
    "CreateContactInput": Call("createContact", CONTACT, creators={"email": address}),
    "UpdateContactInput": Call("updateContact", CONTACT, creators={"contactId": person}),
    "CreateTemplateInput": Call("createTemplate", f"template {{ {TEXTS} }}", creators={"name": name}),
    "UpdateTemplateInput": Call("updateTemplate", f"template {{ {TEXTS} }}", creators={"templateId": template}),
    "CreateListInput": Call("createList", "list { description }", creators={"name": name}),
    "StartConversationInput": Call("startConversation", "conversation { title }"),
    "LogOutInput": Call("logOut", "ended"),
    "RenderPreviewInput": Call("renderPreview", "subject", {"subject": "{{ contact.firstName }}"}),
}


async def upsert(client: ApiClient, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - values of any kind
    """A contact with a value in each field, after an upsert of a row with these fields."""
    contact = await person(client)
    email = (await client.execute(f'{{ contact(id: "{contact}") {{ email }} }}'))["contact"]["email"]
    query = f"""mutation ($input: UpsertContactsInput!) {{
      upsertContacts(input: $input) {{ results {{ {CONTACT} }} }}
    }}"""
    rows = {"contacts": [{"email": email, **values}]}
    result: dict[str, Any] = (await client.execute(query, {"input": rows}))["upsertContacts"]["results"][0]
    return result


async def run(client: ApiClient, place: str, *nulls: None) -> dict[str, Any]:
    """The payload of a call with a field omitted, or with null."""
    kind, _, field = place.partition(".")
    if kind == "UpsertContactInput":
        return await upsert(client, **{field: None} if nulls else {})
    call = CALLS[kind]
    values = deepcopy(dict(call.least)) | {key: await create(client) for key, create in call.creators.items()}
    at = values
    for step in call.at:
        at = at[step]
    if nulls:
        at[field] = None
    root = "query" if call.operation == "renderPreview" else "mutation"
    query = f"""{root} ($input: {call.operation[0].upper()}{call.operation[1:]}Input!) {{
      {call.operation}(input: $input) {{ {call.selected} userErrors {{ code field }} }}
    }}"""
    payload: dict[str, Any] = (await client.execute(query, {"input": values}))[call.operation]
    return payload


async def a_caller(runtime: Runtime, api: ApiClient) -> ApiClient:
    """The owner of a new organization."""
    actor = await factories.organization(runtime)
    await factories.sender(runtime, actor, default=True)
    return api.as_(factories.token(runtime, actor))


@pytest.fixture
async def client(runtime: Runtime, api: ApiClient) -> ApiClient:
    return await a_caller(runtime, api)


@pytest.mark.parametrize("place", sorted(ALIKE))
async def test_null_is_as_omitted(runtime: Runtime, api: ApiClient, place: str) -> None:
    """The same result for two callers, for every input field that is described so."""
    one, other = await a_caller(runtime, api), await a_caller(runtime, api)
    assert await run(one, place, None) == await run(other, place)


@pytest.mark.parametrize("place", sorted(REFUSING))
async def test_null_is_refused(client: ApiClient, place: str) -> None:
    """An error that names the field; without the field the call succeeds."""
    kind, _, field = place.partition(".")
    path = ["input", *CALLS[kind].at, field]
    assert (await run(client, place, None))["userErrors"] == [{"code": "REQUIRED", "field": path}]
    assert {"code": "REQUIRED", "field": path} not in (await run(client, place))["userErrors"]


# The value when the field is omitted, and when it is null.
MEANINGS: dict[str, tuple[object, object]] = {
    "CampaignSettingsInput.onDoubt": ("HOLD", "RECONCILE_THEN_RETRY"),
    "CreateCampaignInput.subject": ("", ""),
    "CreateCampaignInput.htmlContent": ("", ""),
    "CreateCampaignInput.textContent": ("", ""),
    "CreateCampaignInput.senderId": (None, None),
    "CreateCampaignInput.audience": (False, False),
    "CreateCampaignInput.settings": ("RECONCILE_THEN_RETRY", "RECONCILE_THEN_RETRY"),
    "CreateTemplateInput.subject": ("", ""),
    "CreateTemplateInput.htmlContent": ("", ""),
    "CreateTemplateInput.textContent": ("", ""),
    "UpdateCampaignInput.subject": ("Hello", ""),
    "UpdateCampaignInput.htmlContent": ("<p>Hello</p>", ""),
    "UpdateCampaignInput.textContent": ("Hello", ""),
    "UpdateCampaignInput.audience": (True, False),
    "UpdateCampaignInput.settings": ("HOLD", "RECONCILE_THEN_RETRY"),
    "UpdateContactInput.firstName": ("Ada", None),
    "UpdateContactInput.lastName": ("Lovelace", None),
    "UpdateContactInput.customFields": ({"plan": "pro"}, {}),
    "UpdateContactInput.tags": (["vip"], []),
    "UpdateContactInput.timeZone": ("Europe/London", None),
    "UpdateTemplateInput.subject": ("Hello", ""),
    "UpdateTemplateInput.htmlContent": ("<p>Hello</p>", ""),
    "UpdateTemplateInput.textContent": ("Hello", ""),
    "UpsertContactInput.firstName": ("Ada", None),
    "UpsertContactInput.lastName": ("Lovelace", None),
    "UpsertContactInput.customFields": ({"plan": "pro"}, {}),
    "UpsertContactInput.tags": (["vip"], ["vip"]),
    "UpsertContactInput.timeZone": ("Europe/London", None),
}
ANOTHER_NAME = {"senderId": "sender", "settings": "onDoubt"}


def test_every_other_nullable_field_is_in_the_table() -> None:
    """Each nullable input field whose null is neither refused nor the same as omitting it is in the table."""
    apart = {"UpdateCampaignInput.senderId"}  # has a test of its own
    assert MEANINGS.keys() == INPUTS.keys() - FILTERS - REFUSING - ALIKE - apart


@pytest.mark.parametrize("place", sorted(MEANINGS))
async def test_null_has_a_meaning_of_its_own(client: ApiClient, place: str) -> None:
    """The result is the one in the table, for an omitted field and for null."""
    field = ANOTHER_NAME.get(place.partition(".")[2], place.partition(".")[2])
    for expected, nulls in zip(MEANINGS[place], ((), (None,)), strict=True):
        payload = await run(client, place, *nulls)
        assert not payload.get("userErrors")
        field_value = next(value for name, value in payload.items() if name != "userErrors")[field]
        assert (field_value["all"] if field == "audience" else field_value) == expected


async def test_null_instead_of_a_text_overrides_the_template(client: ApiClient) -> None:
    """A new campaign takes the template's text where its own is omitted, and is empty where it is null."""
    query = f"""mutation ($input: CreateCampaignInput!) {{
      createCampaign(input: $input) {{ campaign {{ {TEXTS} }} }}
    }}"""
    values = {"name": "From a template", "templateId": await template(client), "subject": None}
    campaign = (await client.execute(query, {"input": values}))["createCampaign"]["campaign"]
    assert campaign == {"subject": "", "htmlContent": "<p>Hello</p>", "textContent": "Hello"}


async def test_null_selects_the_default_sender(runtime: Runtime, api: ApiClient) -> None:
    """A draft that chose a sender keeps it when the field is omitted; with null it uses the default one."""
    actor = await factories.organization(runtime)
    client = api.as_(factories.token(runtime, actor))
    sender = encode_global_id("Sender", await factories.sender(runtime, actor))
    campaign = await draft(client, senderId=sender)
    query = "mutation ($input: UpdateCampaignInput!) { updateCampaign(input: $input) { campaign { sender { id } } } }"
    for values, expected in (({}, {"id": sender}), ({"senderId": None}, None)):
        data = await client.execute(query, {"input": {"campaignId": campaign, **values}})
        assert data["updateCampaign"]["campaign"]["sender"] == expected


NULLABLE_ARGUMENTS = [
    (name, argument)
    for name, field in ROOT.items()
    for argument, definition in field.args.items()
    if not is_non_null_type(definition.type)
]


CREATE_TWO_OF_EACH = """mutation {
  a: createList(input: {name: "a"}) { list { id } }
  b: createList(input: {name: "b"}) { list { id } }
  c: createTemplate(input: {name: "a"}) { template { id } }
  d: createTemplate(input: {name: "b"}) { template { id } }
  e: startConversation(input: {}) { conversation { id } }
  f: startConversation(input: {}) { conversation { id } }
}"""
IDS = "{ nodes { id } pageInfo { hasNextPage } }"


async def test_a_null_argument_of_a_list_is_as_omitted(runtime: Runtime, api: ApiClient) -> None:
    """In a literal and in a variable, for each argument of each root list."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 2)
    for _ in range(2):
        await factories.campaign(runtime, actor)
        await factories.sender(runtime, actor)
    client = api.as_(factories.token(runtime, actor))
    await client.execute(CREATE_TWO_OF_EACH)
    for name, argument in NULLABLE_ARGUMENTS:
        without = await client.execute(f"{{ {name} {IDS} }}")
        assert len(without[name]["nodes"]) == 2
        assert await client.execute(f"{{ {name}({argument}: null) {IDS} }}") == without
        query = f"query ($value: {ROOT[name].args[argument].type}) {{ {name}({argument}: $value) {IDS} }}"
        assert await client.execute(query, {"value": None}) == without
        assert await client.execute(query) == without


NULLABLE_NESTED = [
    (name, field, argument)
    for name, kind in schema.type_map.items()
    if name not in {"Query", "Mutation", "Subscription"} and not name.startswith("__")
    for field, definition in getattr(kind, "fields", {}).items()
    for argument, declared in getattr(definition, "args", {}).items()
    if not is_non_null_type(declared.type)
]


async def test_a_null_argument_of_a_nested_list_is_as_omitted(runtime: Runtime, api: ApiClient) -> None:
    """For each argument of each list that an object has."""
    actor = await factories.organization(runtime)
    client = api.as_(factories.token(runtime, actor))
    campaign_id, contact_ids = await factories.campaign(runtime, actor), await factories.contacts(runtime, actor, 2)
    for contact_id in contact_ids:
        await factories.delivery(runtime, actor, campaign_id, contact_id)
    contact = encode_global_id("Contact", contact_ids[0])
    async with runtime.work.begin(actor) as uow:
        for kind in (ContactEventKind.OPENED, ContactEventKind.CLICKED):
            await uow.execute(
                insert(ContactEvent).values(
                    organization_id=actor.organization_id,
                    occurred_at=factories.NOW,
                    id=new_id(),
                    contact_id=contact_ids[0],
                    kind=kind,
                    dedupe_key=kind.name,
                )
            )
    conversation = (await client.execute("mutation { startConversation(input: {}) { conversation { id } } }"))[
        "startConversation"
    ]["conversation"]["id"]
    await client.execute(
        "mutation ($i: SendMayaMessageInput!) { sendMayaMessage(input: $i) { reply { id } } }",
        {"i": {"conversationId": conversation, "text": "Hello"}},
    )
    ids = {
        "Campaign": encode_global_id("Campaign", campaign_id),
        "Contact": contact,
        "Conversation": conversation,
    }
    assert {name for name, _, _ in NULLABLE_NESTED} == set(ids)
    for name, field, argument in NULLABLE_NESTED:
        query = f"""query ($id: ID!) {{
          node(id: $id) {{ ... on {name} {{ without: {field} {IDS} with: {field}({argument}: null) {IDS} }} }}
        }}"""
        node = (await client.execute(query, {"id": ids[name]}))["node"]
        assert len(node["without"]["nodes"]) == 2
        assert node["with"] == node["without"]
