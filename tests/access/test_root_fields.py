"""Each root field as each role: refused exactly to the roles without its permission."""

from typing import Any

import pytest

import resolvers
from core.access.matrix import ROLE_PERMISSIONS
from core.access.permissions import Role
from core.ids import encode_global_id, new_id
from resolvers.permissions import root_fields
from runtime import Runtime
from tests import factories
from tests.client import ApiClient
from tests.graphql.sockets import connected
from tests.serving import Served
from tests.tenancy.asking import Operation, Place
from tests.tenancy.test_cross_tenant import KINDS

WAIT_SECONDS = 60.0
schema = resolvers.build_schema()._schema
TAKEN = {field.name: field.permission for field in root_fields() if field.permission is not None}
PLACES = [
    Place(root=root.name, field=name, path=())
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type)
    if root is not None
    for name in root.fields
    if name in TAKEN
]
# The minimum that the matrix must contain, repeated here so that a test fails when the matrix changes.
NEVER = {
    Role.VIEWER: {"sendCampaign", "sendTestEmail", "createCampaign", "createContact", "deleteContact", "addToList"},
    Role.EDITOR: {"createSender", "confirmSender", "deleteSender"},
}
ALWAYS = {
    Role.VIEWER: {"campaigns", "contacts", "lists", "templates", "senders", "sendMayaMessage", "mayaReply"},
    Role.EDITOR: {"sendCampaign", "deleteContact", "createTemplate", "addToList"},
}


async def codes(server: Served, token: str | None, place: Place) -> set[str]:
    """The error codes of the response to a root field, with ids that do not exist."""
    asker = Operation(schema, place, {kind: encode_global_id(kind, new_id()) for kind in KINDS})
    document, variables = asker.document(), asker.arguments("")
    if place.root != "Subscription" or token is None:
        return set((await ApiClient(server.url, token).send(document, variables)).codes)
    async with connected(server) as socket:
        await socket.ready(token)
        await socket.subscribe(document, variables=variables)
        payload: Any = (await socket.next(WAIT_SECONDS)).get("payload")
        errors = payload.get("errors", []) if isinstance(payload, dict) else payload
        return {error["extensions"]["code"] for error in errors}


@pytest.mark.parametrize("role", Role)
async def test_a_role_can_use_the_fields_of_its_permissions(runtime: Runtime, api_server: Served, role: Role) -> None:
    """Each other field is FORBIDDEN."""
    token = factories.token(runtime, await factories.organization(runtime, role=role))
    forbidden = set()
    for place in PLACES:
        error_codes = await codes(api_server, token, place)
        assert not error_codes & {"INTERNAL", "UNAUTHENTICATED", "BAD_USER_INPUT"}, (place, error_codes)
        if "FORBIDDEN" in error_codes:
            forbidden.add(place.field)
    assert forbidden == {name for name, permission in TAKEN.items() if permission not in ROLE_PERMISSIONS[role]}
    assert forbidden >= NEVER.get(role, set())
    assert forbidden.isdisjoint(ALWAYS.get(role, set()))
    assert (forbidden == set()) == (role in {Role.OWNER, Role.ADMIN})


async def test_every_permission_requires_a_token(api_server: Served) -> None:
    """Each field with a permission is UNAUTHENTICATED for an anonymous caller."""
    for place in PLACES:
        if place.root != "Subscription":  # a connection without a token is refused
            assert await codes(api_server, None, place) == {"UNAUTHENTICATED"}, place
