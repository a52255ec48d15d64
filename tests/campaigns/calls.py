"""The GraphQL operations on campaigns that the tests share."""

from typing import Any
from uuid import UUID

from core.access.actor import Actor
from core.ids import encode_global_id
from runtime import Runtime
from tests import factories
from tests.client import ApiClient

ERRORS = "userErrors { code field message suggestion }"
CREATE = (
    "mutation ($input: CreateCampaignInput!) { createCampaign(input: $input) { campaign {"
    " id name subject htmlContent textContent status version onDoubt statusReason scheduledAt sentAt createdAt"
    " author { fullName } audience { all tags excludeTags lists { id name } excludeLists { id } count }"
    " stats { audience sent openRate } progress { campaignId sequence status audience percent } } " + ERRORS + " } }"
)
UPDATE = (
    "mutation ($input: UpdateCampaignInput!) { updateCampaign(input: $input) { campaign {"
    " id name subject htmlContent textContent version onDoubt audience { all tags } } " + ERRORS + " } }"
)
DELETE = (
    "mutation ($input: DeleteCampaignInput!) { deleteCampaign(input: $input) { deletedCampaignId campaign {"
    " id name htmlContent audience { tags } stats { audience } progress { sequence } } " + ERRORS + " } }"
)
DUPLICATE = (
    "mutation ($input: DuplicateCampaignInput!) { duplicateCampaign(input: $input) { campaign {"
    " id name subject htmlContent textContent status onDoubt audience { tags } } " + ERRORS + " } }"
)
ARCHIVE = (
    "mutation ($input: ArchiveCampaignInput!) { archiveCampaign(input: $input) { campaign {"
    " id name status version archivedAt updatedAt } " + ERRORS + " } }"
)
VALIDATE = (
    "query ($id: ID!) { validateCampaign(campaignId: $id) { valid warnings audience skippedEstimate"
    " errors { code field message suggestion } } }"
)
TEST = (
    "mutation ($input: SendTestEmailInput!) { sendTestEmail(input: $input) { sentTo campaign { id } "
    + ERRORS
    + " } }"
)


def command(name: str) -> str:
    """The mutation of a command for a campaign: `send`, `pause`, `resume`, `cancel`, `schedule`, `unschedule`."""
    kind = name.capitalize()
    return (
        f"mutation ($input: {kind}CampaignInput!) {{ {name}Campaign(input: $input)"
        f" {{ campaign {{ id status statusReason scheduledAt version }} {ERRORS} }} }}"
    )


def gid(campaign_id: UUID) -> str:
    """The global id of a campaign."""
    return encode_global_id("Campaign", campaign_id)


def caller(api: ApiClient, runtime: Runtime, actor: Actor) -> ApiClient:
    """The API with an actor's access token."""
    return api.as_(factories.token(runtime, actor))


async def mutation_payload(api: ApiClient, mutation: str, **values: object) -> dict[str, Any]:
    """The payload of a mutation with one input."""
    data = await api.execute(mutation, {"input": values})
    payload: dict[str, Any] = next(iter(data.values()))
    return payload


async def mutate(api: ApiClient, mutation: str, **values: object) -> dict[str, Any]:
    """The payload of a mutation that must succeed."""
    payload = await mutation_payload(api, mutation, **values)
    assert payload["userErrors"] == []
    return payload


async def user_errors(api: ApiClient, mutation: str, **values: object) -> list[dict[str, Any]]:
    """The user errors of a mutation that must not succeed."""
    payload = await mutation_payload(api, mutation, **values)
    errors: list[dict[str, Any]] = payload["userErrors"]
    assert errors
    assert payload["campaign"] is None
    return errors
