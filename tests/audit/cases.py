"""Calls of each mutation, and the audit records that they must leave."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from core import clock
from core.access.actor import Actor
from core.ids import encode_global_id
from tests import factories
from tests.execution.company import ARCHIVED, PASSWORD, PAUSED, SCHEDULED, SENDING, SENT, TOKENS, Company

NEW_USER, NEW_SESSION, SYSTEM = "new user", "new session", "system"
Input = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An audit record. Its target is an id, a path to an id in the payload, or the newest session."""

    action: str
    target: UUID | str
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A call of a mutation, with its records, whose actor is the caller or `who`. `select` is part of the payload."""

    mutation: str
    input: Input
    records: tuple[Record, ...]
    caller: Actor | None
    who: UUID | str
    select: str = ""
    refused: bool = False


def cases(company: Company) -> list[Case]:
    """Calls of every mutation, on the initial state of the company."""
    parts = (of_accounts, of_contacts, of_tags, of_lists, of_drafts, of_commands, of_templates, of_senders, of_maya)
    return [case for part in parts for case in part(company)]


def record(action: str, target: UUID | str, changes: Mapping[str, Any] | None = None) -> Record:
    """A record."""
    return Record(action=action, target=target, changes=changes or {})


def by_owner(company: Company, mutation: str, values: Input, *records: Record, select: str = "") -> Case:
    """A call of the owner."""
    owner = company.owner
    return Case(
        mutation=mutation, input=values, records=records, caller=owner, who=owner.require_user_id(), select=select
    )


def by_anonymous(mutation: str, values: Input, who: UUID | str, *records: Record, select: str = "") -> Case:
    """A call without an access token."""
    refused = values.get("refreshToken") == TOKENS["used"]
    return Case(
        mutation=mutation, input=values, records=records, caller=None, who=who, select=select, refused=refused
    )


def gid(company: Company, kind: str, name: str) -> str:
    """The global id of an object of the company."""
    return encode_global_id(kind, company.ids[kind][name])


def of_accounts(company: Company) -> list[Case]:
    """Signing up, logging in and out."""
    owner, viewer, sessions = company.owner, company.viewer, company.sessions
    started = record("session.started", NEW_SESSION, {"days": company.runtime.settings.auth.refresh_token_days})
    organization_record = record("organization.created", "viewer.organization.id", {"name": "New"})
    account = {"organizationName": "New", "email": "new@example.com", "password": PASSWORD, "fullName": "Ann"}
    credentials = {"email": "owner@example.com", "password": PASSWORD}
    fresh, used = {"refreshToken": TOKENS["fresh"]}, {"refreshToken": TOKENS["used"]}
    hers, reused = {"user": str(owner.require_user_id()), "reason": "logged_out"}, "refresh_token_reused"
    own = record("session.ended", factories.session(viewer).id, {**hers, "user": str(viewer.require_user_id())})
    selection = "viewer { id organization { id } }"
    return [
        by_anonymous("signUp", account, NEW_USER, organization_record, started, select=selection),
        by_anonymous("logIn", credentials, owner.require_user_id(), started),
        by_anonymous("refreshSession", fresh, owner.require_user_id()),
        by_anonymous(
            "refreshSession", used, SYSTEM, record("session.ended", sessions["used"], {**hers, "reason": reused})
        ),
        by_anonymous("logOut", fresh, owner.require_user_id(), record("session.ended", sessions["fresh"], hers)),
        Case(mutation="logOut", input={}, records=(own,), caller=viewer, who=viewer.require_user_id()),
    ]


def of_contacts(company: Company) -> list[Case]:
    """Contacts. A call that changes nothing leaves no record."""
    ada, beta = company.ids["Contact"]["ada"], company.ids["List"]["Beta"]
    its_id = {"contactId": gid(company, "Contact", "ada")}
    new = {"email": "new@example.com", "firstName": "New", "status": "PENDING"}
    details = {"status": "pending", "fields": ["email", "first_name"], "lists": 1}
    values = {"email": "augusta@example.com", "firstName": "Augusta", "lastName": "Lovelace", "tags": ["vip"]}
    same = {"lastName": "Lovelace", "tags": ["vip", "new"]}
    updated = {"email": "ada@example.com", "firstName": "Augusta"}
    rows = [{"email": "grace@example.com"}, {"email": "none"}]
    counts = {"created": 1, "updated": 1, "unchanged": 1, "invalid": 1}
    skipping = {"onInvalid": "SKIP_INVALID"}
    return [
        by_owner(
            company,
            "createContact",
            {**new, "listIds": [gid(company, "List", "Beta")]},
            record("list_member.added", beta, {"contacts": 1}),
            record("contact.created", "contact.id", details),
            select="contact { id }",
        ),
        by_owner(
            company,
            "updateContact",
            {**its_id, **values},
            record("contact.updated", ada, {"changed": ["email", "first_name", "tags"]}),
        ),
        by_owner(company, "updateContact", {**its_id, **same}),
        by_owner(company, "deleteContact", its_id, record("contact.deleted", ada, {"status": "subscribed"})),
        by_owner(company, "unsubscribeContact", its_id, record("contact.unsubscribed", ada)),
        by_owner(
            company,
            "upsertContacts",
            {"contacts": [updated, *rows, {"email": "new@example.com"}], **skipping},
            record("contact.upserted", company.owner.organization_id, counts),
        ),
        *(
            by_owner(
                company,
                "upsertContacts",
                {"contacts": [row]},
                record("contact.upserted", company.owner.organization_id, {status: 1}),
            )
            for row, status in ((updated, "updated"), ({"email": "new@example.com"}, "created"))
        ),
        by_owner(company, "upsertContacts", {"contacts": rows, **skipping}),
    ]


def of_tags(company: Company) -> list[Case]:
    """Tags of several contacts."""
    ids = [gid(company, "Contact", name) for name in ("ada", "grace")]
    added, removed, neither = ({"contactIds": ids, "tags": tags} for tags in (["vip", "fresh"], ["vip"], ["unknown"]))
    of_all = company.owner.organization_id
    tagged = record("contact.tagged", of_all, {"tags": ["vip", "fresh"], "contacts": 2})
    untagged = record("contact.untagged", of_all, {"tags": ["vip"], "contacts": 2})
    return [
        by_owner(company, "addTags", added, tagged),
        by_owner(company, "addTags", {"contactIds": ids[:1], "tags": ["vip"]}),
        by_owner(company, "removeTags", removed, untagged),
        by_owner(company, "removeTags", neither),
    ]


def of_lists(company: Company) -> list[Case]:
    """Lists and their members."""
    beta = company.ids["List"]["Beta"]
    ids = [gid(company, "Contact", name) for name in ("ada", "grace")]
    both, member = ({"listId": gid(company, "List", "Beta"), "contactIds": some} for some in (ids, ids[1:]))
    empty = {"listId": gid(company, "List", "Nobody"), "contactIds": ids}
    creation = record("list.created", "list.id", {"name": "News"})
    return [
        by_owner(company, "createList", {"name": "News"}, creation, select="list { id }"),
        by_owner(company, "addToList", both, record("list_member.added", beta, {"contacts": 1})),
        by_owner(company, "addToList", member),
        by_owner(company, "removeFromList", both, record("list_member.removed", beta, {"contacts": 1})),
        by_owner(company, "removeFromList", empty),
    ]


def of_drafts(company: Company) -> list[Case]:
    """Campaigns that have not been sent."""
    spring, its_id = company.ids["Campaign"]["Spring"], {"campaignId": gid(company, "Campaign", "Spring")}
    old = {"campaignId": gid(company, "Campaign", ARCHIVED)}
    unarchived = record("campaign.unarchived", company.ids["Campaign"][ARCHIVED], {"status": "draft"})
    creation = record("campaign.created", "campaign.id", {"name": "New"})
    duplication = record("campaign.duplicated", "campaign.id", {"from": str(spring)})
    update_record = record("campaign.updated", spring, {"changed": ["name", "subject"], "version": 2})
    narrowed = record("campaign.updated", spring, {"changed": ["audience"], "version": 2})
    deleted = record("campaign.deleted", spring, {"name": "Spring", "status": "draft"})
    return [
        by_owner(company, "createCampaign", {"name": "New", "subject": "Secret"}, creation, select="campaign { id }"),
        by_owner(company, "duplicateCampaign", its_id, duplication, select="campaign { id }"),
        by_owner(company, "updateCampaign", {**its_id, "subject": "Secret", "name": "Later"}, update_record),
        by_owner(company, "updateCampaign", {**its_id, "audience": {"tags": ["vip"]}}, narrowed),
        by_owner(company, "deleteCampaign", its_id, deleted),
        by_owner(company, "archiveCampaign", its_id, record("campaign.archived", spring, {"status": "draft"})),
        by_owner(company, "archiveCampaign", {**its_id, "archived": False}),
        by_owner(company, "archiveCampaign", old),
        by_owner(company, "archiveCampaign", {**old, "archived": False}, unarchived),
    ]


def of_commands(company: Company) -> list[Case]:
    """Commands on campaigns, and the resolution of a delivery."""
    campaigns = company.ids["Campaign"]
    soon = (clock.now() + timedelta(days=3)).replace(microsecond=0).isoformat()

    def order(mutation: str, name: str, action: str, changes: Mapping[str, Any], values: Input | None = None) -> Case:
        its_id = {"campaignId": gid(company, "Campaign", name)}
        return by_owner(company, mutation, {**its_id, **(values or {})}, record(action, campaigns[name], changes))

    def decide(name: str, decision: str) -> Case:
        delivery_id = company.ids["Delivery"][name]
        values = {"deliveryId": encode_global_id("Delivery", delivery_id), "as": decision}
        changes = {"campaign": str(campaigns[name]), "from": "unknown", "as": decision.lower()}
        return by_owner(company, "resolveDelivery", values, record("delivery.resolved", delivery_id, changes))

    return [
        order("sendCampaign", "Spring", "campaign.sent", {"version": 1}),
        order("pauseCampaign", SENDING, "campaign.paused", {"from": "sending"}),
        order("resumeCampaign", PAUSED, "campaign.resumed", {"from": "paused"}),
        order("cancelCampaign", SENDING, "campaign.cancelled", {"from": "sending"}),
        order("scheduleCampaign", "Spring", "campaign.scheduled", {"at": soon}, {"scheduledAt": soon}),
        order("unscheduleCampaign", SCHEDULED, "campaign.unscheduled", {"from": "scheduled"}),
        order("sendTestEmail", "Spring", "campaign.tested", {"recipients": 1}, {"to": ["one@example.com"]}),
        decide(SENT, "SENT"),
        decide(SENDING, "NOT_SENT"),
        decide(SENDING, "SEND_AGAIN"),
    ]


def of_templates(company: Company) -> list[Case]:
    """Templates."""
    plain, its_id = company.ids["Template"]["Plain"], {"templateId": gid(company, "Template", "Plain")}
    creation = record("template.created", "template.id", {"name": "New"})
    update_record = record("template.updated", plain, {"changed": ["subject"]})
    return [
        by_owner(company, "createTemplate", {"name": "New", "subject": "Secret"}, creation, select="template { id }"),
        by_owner(company, "updateTemplate", {**its_id, "subject": "Secret"}, update_record),
        by_owner(company, "deleteTemplate", its_id, record("template.deleted", plain, {"name": "Plain"})),
    ]


def of_senders(company: Company) -> list[Case]:
    """Senders: a new one, an existing one again, a confirmation and a deletion."""
    news, unconfirmed = (company.ids["Sender"][name] for name in ("News", "Asked"))
    new, existing = ({"email": f"{name}@example.com", "name": "Name"} for name in ("new", "news"))
    creation = record("sender.created", "sender.id", {**new, "again": False})
    again = record("sender.created", news, {**existing, "again": True})
    confirmed = record("sender.confirmed", unconfirmed, {"email": "asked@example.com"})
    deleted = record("sender.deleted", news, {"email": "news@example.com"})
    return [
        by_owner(company, "createSender", new, creation, select="sender { id }"),
        by_owner(company, "createSender", existing, again),
        by_owner(company, "confirmSender", {"token": TOKENS["fresh"]}, confirmed),
        by_owner(company, "deleteSender", {"senderId": gid(company, "Sender", "News")}, deleted),
    ]


def of_maya(company: Company) -> list[Case]:
    """Conversations, which leave no records."""
    silent = {"conversationId": gid(company, "Conversation", "silent"), "text": "Secret?"}
    return [
        by_owner(company, "startConversation", {"title": "Plans"}),
        by_owner(company, "sendMayaMessage", silent, select="reply { id }"),
        by_owner(company, "cancelMayaReply", {"messageId": gid(company, "MayaMessage", "streaming")}),
        by_owner(company, "cancelMayaReply", {"messageId": gid(company, "MayaMessage", "waiting")}),
    ]
