from collections.abc import Sequence
from typing import cast

import strawberry

from core.access.permissions import Permission
from resolvers.campaigns.mapping import campaign_of
from resolvers.context import Info
from resolvers.fields import Requires, mutation
from resolvers.inputs import optional_value, provided_values
from schema.campaigns.drafting import (
    ArchiveCampaignInput,
    ArchiveCampaignPayload,
    AudienceInput,
    CreateCampaignInput,
    CreateCampaignPayload,
    DeleteCampaignInput,
    DeleteCampaignPayload,
    DuplicateCampaignInput,
    DuplicateCampaignPayload,
    UpdateCampaignInput,
    UpdateCampaignPayload,
)
from schema.nodes import global_id, optional_uuid_of, uuid_of
from services.campaigns import drafting, lifecycle
from services.campaigns.audience import AudienceInput as CampaignAudienceInput
from services.campaigns.drafting import CampaignChanges


@strawberry.type
class DraftingMutations:
    @mutation(Requires(Permission.CAMPAIGN_WRITE), audit="campaign.created")
    async def create_campaign(self, info: Info, input: CreateCampaignInput) -> CreateCampaignPayload:  # noqa: A002 - the contract's name
        """Create a draft.

        `TEMPLATE_INVALID` with line and column if its content cannot be parsed.
        """
        async with info.context.work() as uow:
            row = await drafting.create(
                uow, _changes_of(input), template_id=optional_uuid_of("Template", input.template_id)
            )
        return CreateCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_WRITE), audit="campaign.updated")
    async def update_campaign(self, info: Info, input: UpdateCampaignInput) -> UpdateCampaignPayload:  # noqa: A002 - the same
        """Change a draft.

        `INVALID_STATE` if the campaign is not a draft, `CONFLICT` if `version` is not the latest version.
        """
        async with info.context.work() as uow:
            row = await drafting.update(
                uow,
                uuid_of("Campaign", input.campaign_id),
                _changes_of(input),
                version=optional_value(input.version, "input", "version"),
            )
        return UpdateCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_WRITE), audit="campaign.deleted")
    async def delete_campaign(self, info: Info, input: DeleteCampaignInput) -> DeleteCampaignPayload:  # noqa: A002 - the same
        """Delete a campaign that has no deliveries.

        `INVALID_STATE` for any other campaign, because its deliveries have to be preserved.
        """
        async with info.context.work() as uow:
            deleted = await drafting.delete(uow, uuid_of("Campaign", input.campaign_id))
        return DeleteCampaignPayload(
            deleted_campaign_id=global_id("Campaign", deleted.id),
            campaign=campaign_of(deleted),
        )

    @mutation(Requires(Permission.CAMPAIGN_WRITE), audit="campaign.duplicated")
    async def duplicate_campaign(self, info: Info, input: DuplicateCampaignInput) -> DuplicateCampaignPayload:  # noqa: A002 - the same
        """Create a draft with the content, audience and settings of an existing campaign with any status."""
        async with info.context.work() as uow:
            row = await drafting.duplicate(uow, uuid_of("Campaign", input.campaign_id))
        return DuplicateCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_WRITE), audit=("campaign.archived", "campaign.unarchived"))
    async def archive_campaign(self, info: Info, input: ArchiveCampaignInput) -> ArchiveCampaignPayload:  # noqa: A002 - the same
        """Archive a draft or a campaign that has ended, or unarchive it with `archived: false`.

        An archived campaign can still be read, changed, duplicated and deleted. Exclude it from a list with
        `campaigns(filter: {archived: false})`. Scheduling or sending it, or sending one of its messages again,
        unarchives it.

        `INVALID_STATE` for a campaign that is scheduled or being sent. Repeating the call changes nothing and is not
        refused, whatever `version` is.
        """
        async with info.context.work() as uow:
            row = await lifecycle.archive(
                uow,
                uuid_of("Campaign", input.campaign_id),
                archived=input.archived,
                version=optional_value(input.version, "input", "version"),
            )
        return ArchiveCampaignPayload(campaign=campaign_of(row))


def _changes_of(input_: CreateCampaignInput | UpdateCampaignInput) -> CampaignChanges:
    """The changes that the client provided, including nulls, without omitted ones."""
    changes = provided_values(input_, "name", "subject", "html_content", "text_content")
    if input_.audience is not strawberry.UNSET:
        changes["audience"] = _audience_of(input_.audience) if input_.audience else None
    if input_.sender_id is not strawberry.UNSET:
        changes["sender_id"] = optional_uuid_of("Sender", input_.sender_id)
    on_doubt = input_.settings.on_doubt if input_.settings else input_.settings
    if on_doubt is not strawberry.UNSET:
        changes["on_doubt"] = on_doubt
    return cast("CampaignChanges", changes)


def _audience_of(input_: AudienceInput) -> CampaignAudienceInput:
    """The service's audience input of the API's."""
    return CampaignAudienceInput(
        all=input_.all,
        list_ids=[uuid_of("List", value) for value in _audience_part(input_.list_ids, "listIds")],
        tags=_audience_part(input_.tags, "tags"),
        exclude_list_ids=[
            uuid_of("List", value) for value in _audience_part(input_.exclude_list_ids, "excludeListIds")
        ],
        exclude_tags=_audience_part(input_.exclude_tags, "excludeTags"),
    )


def _audience_part(values: Sequence[str] | None, name: str) -> Sequence[str]:
    """One of the lists of an audience, empty if it was omitted; raises `InvalidInput` for null."""
    return optional_value(values, "input", "audience", name) or ()
