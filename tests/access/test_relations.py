"""Relations between objects require the same permissions as reading the related object itself."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import orjson
import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type

import resolvers
from core.access.permissions import Permission
from core.access.session import Session
from core.errors import Forbidden
from core.ids import new_id
from resolvers.nodes import NODE_TYPES, collect_nodes
from resolvers.permissions import root_fields
from resolvers.relations import RELATION_READERS
from runtime import Runtime
from schema.campaigns.campaign import CAMPAIGN_AUTHOR
from schema.relations import key_of
from tests import factories
from tests.access.asking import EVERYTHING, answer, context_of, objects, with_permissions
from tests.client import ApiClient
from tests.serving import Served

schema = resolvers.build_schema()._schema
# The permission of each node type, listed again, so that a change of a type's permission is noticed.
PERMISSIONS = {
    "Campaign": Permission.CAMPAIGN_READ,
    "Contact": Permission.CONTACT_READ,
    "ContactEvent": Permission.CONTACT_READ,
    "Conversation": Permission.CONVERSATION_READ,
    "Delivery": Permission.CONTACT_READ,
    "List": Permission.LIST_READ,
    "MayaMessage": Permission.CONVERSATION_READ,
    "Organization": Permission.ORGANIZATION_READ,
    "Sender": Permission.SENDER_READ,
    "Template": Permission.TEMPLATE_READ,
    "User": Permission.ORGANIZATION_READ,
}
# Fields with a relation of another name, and fields whose objects are read together with their row or event: they
# require the permission of their parent.
READ_AS = {"Audience.excludeLists": "Audience.lists"}
CAME_ALONG = {
    "User.organization": NODE_TYPES["User"].permission,
    **dict.fromkeys(
        ("MayaReplyCompleted.message", "MayaReplyCompleted.reply", "MayaReplyFailed.reply"),
        next(field.permission for field in root_fields() if field.name == "mayaReply"),
    ),
}
# Types that are no nodes, with the node types that contain them.
WITHIN = {"Audience": "Campaign", "CampaignProgress": "Campaign"}
PATHS = {"Audience": "audience { %s }", "CampaignProgress": "progress { %s }"}


class Relation(NamedTuple):
    """A field of a type that leads to objects of a node type."""

    parent: str
    field: str
    target: str

    @property
    def name(self) -> str:
        """The name of the relation."""
        return f"{self.parent}.{self.field}"


def target_of(field: GraphQLField) -> str | None:
    """The node type that a field leads to, directly or as a connection."""
    kind = get_named_type(field.type)
    if kind.name.endswith("Connection"):
        assert isinstance(kind, GraphQLObjectType)
        kind = get_named_type(kind.fields["nodes"].type)
    return kind.name if kind.name in NODE_TYPES else None


def relations() -> Iterator[Relation]:
    """All fields from object to object, except root fields and payloads, which have permissions of their own."""
    roots = {"Query", "Mutation", "Subscription"}
    for kind in schema.type_map.values():
        if not isinstance(kind, GraphQLObjectType) or kind.name in roots:
            continue
        if kind.name.endswith(("Payload", "Result", "Connection", "Edge")):
            continue
        for name, field in kind.fields.items():
            target = target_of(field)
            if target is not None:
                yield Relation(kind.name, name, target)


LEADING = {each.name: each for each in relations()}


def test_every_node_type_requires_the_expected_permission() -> None:
    """A new type, or a changed permission, has to be listed here as well."""
    assert {name: kind.permission for name, kind in NODE_TYPES.items()} == PERMISSIONS


def test_node_types_have_unique_names() -> None:
    """A second declaration of a name, perhaps with another permission, is refused at import."""
    types = dict(NODE_TYPES)
    contact = NODE_TYPES["Contact"]
    collect_nodes([contact])  # the same declaration again is allowed
    with pytest.raises(ValueError, match="Contact is declared twice"):
        collect_nodes([replace(contact, permission=Permission.ORGANIZATION_READ)])
    assert types == NODE_TYPES


def test_every_relation_requires_the_permission_of_its_target() -> None:
    """The same permission as `node(id)`."""
    declared = {relation.name: reader.permission for relation, reader in RELATION_READERS.items()}
    permissions = {name: declared.get(READ_AS.get(name, name)) for name in LEADING if name not in CAME_ALONG}
    assert permissions | CAME_ALONG == {name: PERMISSIONS[each.target] for name, each in LEADING.items()}


def description_of(each: Relation) -> str:
    """The schema's description of a field."""
    parent = schema.type_map[each.parent]
    assert isinstance(parent, GraphQLObjectType)
    return parent.fields[each.field].description or ""


def document(each: Relation) -> str:
    """A query of a field of an object whose own type requires another permission."""
    owner = WITHIN.get(each.parent, each.parent)
    parent = schema.type_map[each.parent]
    assert isinstance(parent, GraphQLObjectType)
    many = str(get_named_type(parent.fields[each.field].type)).endswith("Connection")
    field = f"{each.field} {{ {'nodes { id }' if many else 'id'} }}"
    path = PATHS.get(each.parent, "%s") % field
    if owner == "Campaign":
        return f"query ($id: ID!) {{ campaign(id: $id) {{ {path} }} }}"
    if owner == "Contact":
        return f"query ($id: ID!) {{ contact(id: $id) {{ {path} }} }}"
    return f"query ($id: ID!) {{ node(id: $id) {{ ... on {owner} {{ {path} }} }} }}"


async def test_a_relation_without_its_permission_is_forbidden(
    runtime: Runtime, api: ApiClient, api_server: Served
) -> None:
    """The response has FORBIDDEN at the field, and no data of the target; with the permission it has the target."""
    owner = await factories.organization(runtime)
    ids = await objects(runtime, api, owner)
    tested = set()
    for each in LEADING.values():
        owner_type = WITHIN.get(each.parent, each.parent)
        lacking = PERMISSIONS[each.target]
        if each.name in CAME_ALONG or lacking is PERMISSIONS[owner_type]:
            continue  # without it no such object is visible at all
        tested.add(each.name)
        variables = {"id": ids[owner_type]}
        assert f"Requires the permission `{lacking}`." in description_of(each), each
        may = with_permissions(owner, EVERYTHING)
        response = await answer(api_server, runtime, may, document(each), variables)
        assert "errors" not in response, each
        assert ids[each.target] in orjson.dumps(response["data"]).decode(), each
        may_not = with_permissions(owner, EVERYTHING - {lacking})
        response = await answer(api_server, runtime, may_not, document(each), variables)
        assert {error["extensions"]["code"] for error in response["errors"]} == {"FORBIDDEN"}, each
        assert {error["path"][-1] for error in response["errors"]} == {each.field}, each
        assert ids[each.target] not in orjson.dumps(response).decode(), each
    assert tested == {
        "Audience.excludeLists",
        "Audience.lists",
        "Campaign.author",
        "Campaign.deliveries",
        "Campaign.sender",
        "Contact.lists",
        "ContactEvent.campaign",
        "Delivery.campaign",
    }


async def test_a_subscription_with_changed_rights_checks_relations_again(
    runtime: Runtime, api_server: Served
) -> None:
    """A relation that was read before is refused without its permission, and read again with it."""
    owner = await factories.organization(runtime)
    context = context_of(api_server, runtime, with_permissions(owner, EVERYTHING))
    for may in (True, False, True):
        permissions = EVERYTHING if may else EVERYTHING - {Permission.ORGANIZATION_READ}
        context.apply_session(Session(actor=with_permissions(owner, permissions), id=new_id(), expires_at=0))
        if may:
            author = await context.load(CAMPAIGN_AUTHOR, owner.require_user_id())
            assert key_of(author) == owner.require_user_id()
        else:
            with pytest.raises(Forbidden):
                await context.load(CAMPAIGN_AUTHOR, owner.require_user_id())


async def test_nodes_are_null_without_the_permission_of_their_type(
    runtime: Runtime, api: ApiClient, api_server: Served
) -> None:
    """Without a permission, exactly the objects of its types are missing from `nodes(ids)`."""
    owner = await factories.organization(runtime)
    ids = await objects(runtime, api, owner)
    assert set(ids) == set(NODE_TYPES)
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    for lacking in (None, *Permission):
        if lacking is Permission.ORGANIZATION_READ:
            continue  # `nodes` itself requires it
        actor = with_permissions(owner, EVERYTHING - {lacking})
        response = await answer(api_server, runtime, actor, query, {"ids": list(ids.values())})
        assert "errors" not in response, lacking
        visible = {name for name, node in zip(ids, response["data"]["nodes"], strict=True) if node is not None}
        assert visible == {name for name, permission in PERMISSIONS.items() if permission is not lacking}, lacking
