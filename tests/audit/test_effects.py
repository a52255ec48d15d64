"""The existing rows that each mutation changes, and the jobs and signals that it sends: only those it is about."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest

from core.ids import decode_global_id, encode_global_id
from models import metadata
from resolvers.audit import declared_audit
from tests import factories
from tests.audit.cases import Case, cases
from tests.audit.test_mutations import OVER_A_SOCKET, id_at, run
from tests.execution.company import TOKENS, Company
from tests.execution.product import CORE
from tests.serving import Served

COLUMNS = {
    "Campaign": "campaign_id",
    "Contact": "contact_id",
    "Conversation": "conversation_id",
    "Delivery": "delivery_id",
    "List": "list_id",
    "MayaMessage": "message_id",
    "Sender": "sender_id",
    "Template": "template_id",
}
"""What the tables call the ids of the API's kinds."""
OWN_IDS = {
    "ai_conversations": "conversation_id",
    "ai_messages": "message_id",
    "campaigns": "campaign_id",
    "contacts": "contact_id",
    "email_deliveries": "delivery_id",
    "lists": "list_id",
    "senders": "sender_id",
    "templates": "template_id",
    "user_sessions": "session_id",
    "users": "user_id",
}
"""And the `id` of a table in other tables."""
ANNOUNCED: dict[str, list[set[str]]] = {
    "cancelCampaign": [{"advance_campaign", "campaign"}],
    "cancelMayaReply": [{"message", "log"}, {"message", "log"}],
    "createSender": [{"send_outbox"}, set()],
    "deleteCampaign": [{"campaign"}],
    "logOut": [{"session"}, {"session"}],
    "pauseCampaign": [{"campaign"}],
    "refreshSession": [set(), {"session"}],
    "resolveDelivery": [
        {"advance_campaign", "campaign"},
        {"advance_campaign", "campaign"},
        {"send_batches", "campaign"},
    ],
    "resumeCampaign": [{"send_batches", "campaign"}],
    "scheduleCampaign": [{"campaign"}],
    "sendCampaign": [{"prepare_campaign", "campaign"}],
    "sendMayaMessage": [{"run_reply"}],
    "unscheduleCampaign": [{"campaign"}],
}
"""The jobs and kinds of topics that each call sends, so that no change has to wait for a sweep or a poll."""
Row = dict[str, Any]
Subject = dict[str, set[str]]


async def stored_rows(company: Company) -> dict[tuple[str, ...], Row]:
    """All rows, by table and key."""
    changes = [orjson.loads(row.text) for row in await company.database.written()]
    return {key_of(each["table"], each["row"]): each["row"] for each in changes}


def key_of(table: str, row: Row) -> tuple[str, ...]:
    """The table and the row's key in it."""
    return table, *(str(row[column.name]) for column in metadata.tables[table].primary_key)


def subject_of(company: Company, case: Case) -> Subject:
    """The ids that a call is about, by column: those in its input, and those of an address or token in it."""
    subject: Subject = {}
    for kind, value in [*ids_in(case.input), *implied_ids(company, case)]:
        subject.setdefault(kind, set()).add(str(value))
    return subject


def ids_in(value: object) -> Iterator[tuple[str, UUID]]:
    """The global ids in an input, by column."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from ids_in(each)
    elif isinstance(value, str) and (decoded := decode_global_id(value)):
        yield COLUMNS[decoded[0]], decoded[1]


def implied_ids(company: Company, case: Case) -> Iterator[tuple[str, UUID]]:
    """The ids that an input refers to indirectly."""
    token = {name for name in TOKENS if TOKENS[name] in case.input.values()}
    match case.mutation:
        case "logIn":
            yield "user_id", company.owner.require_user_id()
        case "refreshSession" | "logOut":
            yield "session_id", company.sessions[token.pop()] if token else factories.session_id_of(company.viewer)
        case "upsertContacts":
            yield "contact_id", company.ids["Contact"]["ada"]
        case "createSender":
            yield "sender_id", company.ids["Sender"]["News"]
        case "confirmSender" | "deleteSender":  # the other sender becomes the default
            yield "sender_id", company.ids["Sender"]["Asked"]
        case "resolveDelivery":
            yield "campaign_id", UUID(case.records[0].changes["campaign"])
        case _:
            pass


def is_about(subject: Subject, table: str, row: Row) -> bool:
    """Whether a row belongs to the subject: it has an id of it, and no other id of the same kinds."""
    names = {OWN_IDS.get(table, "id") if column == "id" else column: row[column] for column in row}
    shared = subject.keys() & names.keys()
    return bool(shared) and all(names[column] in subject[column] for column in shared)


@pytest.mark.parametrize("mutation", sorted(set(declared_audit(CORE)) - {OVER_A_SOCKET}))
async def test_a_mutation_changes_no_other_rows(company: Company, audited_server: Served, mutation: str) -> None:
    """Each noun has several rows, of the caller, of others and of another organization."""
    for case in (case for case in cases(company) if case.mutation == mutation):
        await company.restore()
        before = await stored_rows(company)
        payload = await run(company, audited_server, case)
        assert bool(payload["userErrors"]) is case.refused, payload
        after = await stored_rows(company)
        changed_keys = [key for key, row in before.items() if after.get(key) != row]
        subject = subject_of(company, case)
        assert [key for key in changed_keys if not is_about(subject, key[0], before[key])] == []


def names_of(announced: list[dict[str, object]]) -> list[str]:
    """The jobs' names and the topics' kinds."""
    return [str(each.get("job") or str(each["topic"]).partition(":")[0]) for each in announced]


def id_of(announced: dict[str, object]) -> str:
    """The last id of a job or topic, which is that of the changed object."""
    last = list(announced.values())[-1] if "job" in announced else announced["topic"]
    return str(last).rpartition(":")[2]


@pytest.mark.parametrize("mutation", sorted(set(declared_audit(CORE)) - {OVER_A_SOCKET}))
async def test_a_mutation_sends_the_jobs_and_events_of_its_change(
    company: Company, audited_server: Served, mutation: str
) -> None:
    """They are sent immediately, each once, with the ids of the objects in the call."""
    calls = [case for case in cases(company) if case.mutation == mutation]
    for case, expected in zip(calls, ANNOUNCED.get(mutation, [set()] * len(calls)), strict=True):
        await company.restore()
        payload = await run(company, audited_server, case)
        sent = list(company.outbox.sent)
        assert sorted(names_of(sent)) == sorted(expected)
        about = set().union(*subject_of(company, case).values())
        about |= {str(record.changes.get("user")) for record in case.records}
        about |= {str(company.owner.organization_id)} if mutation == "createSender" else set()
        about |= {str(id_at(payload, "reply.id"))} if mutation == "sendMayaMessage" else set()
        assert set(map(id_of, sent)) <= about


def with_other_types(value: object) -> Iterator[object]:
    """The input with each of its ids, one at a time, as a global id of another type."""
    if isinstance(value, str):
        if decoded := decode_global_id(value):
            yield encode_global_id("Template" if decoded[0] != "Template" else "Campaign", decoded[1])
    elif isinstance(value, dict):
        yield from ({**value, key: other} for key, each in value.items() for other in with_other_types(each))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from ([*value[:at], other, *value[at + 1 :]] for other in with_other_types(each))


@pytest.mark.parametrize("mutation", sorted(set(declared_audit(CORE)) - {OVER_A_SOCKET}))
async def test_an_id_of_another_type_is_unknown(company: Company, audited_server: Served, mutation: str) -> None:
    """A template's global id with the UUID of a campaign is no campaign."""
    for case in (case for case in cases(company) if case.mutation == mutation and any(ids_in(case.input))):
        await company.restore()
        before = await stored_rows(company)
        for changed_input in with_other_types(case.input):
            assert isinstance(changed_input, dict)
            payload = await run(company, audited_server, replace(case, input=changed_input, select=""))
            assert [error["code"] for error in payload["userErrors"]] == ["NOT_FOUND"], changed_input
        assert await stored_rows(company) == before
