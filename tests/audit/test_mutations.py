"""The audit records of each mutation, called over the API."""

import re
from functools import reduce
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import orjson
import pytest
from graphql import FieldNode, OperationDefinitionNode, parse

from core.ids import decode_global_id
from resolvers.audit import declared_audit, table
from resolvers.fields import Unaudited
from tests import factories
from tests.audit.cases import NEW_SESSION, NEW_USER, SYSTEM, Case, Record, cases
from tests.client import ApiClient
from tests.execution.company import Company
from tests.execution.documents import document
from tests.execution.product import BY_CORE, CORE, GeneratedOperation, start_operation
from tests.execution.words import literals
from tests.graphql.sockets import connected
from tests.serving import Served

DECLARED = declared_audit(CORE)
OVER_A_SOCKET = "renewConnection"
ACTION = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")
PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
MAX_DRAWN = 1_000


async def records(company: Company) -> list[dict[str, Any]]:
    """The audit log, in order."""
    rows = await company.database.connection.fetch("SELECT to_jsonb(e)::text FROM audit_events e ORDER BY id")
    return [orjson.loads(row[0]) for row in rows]


async def run(company: Company, server: Served, case: Case) -> dict[str, Any]:
    """Call the mutation of a case; returns the payload."""
    token = factories.token(company.runtime, case.caller) if case.caller else None
    kind = f"{case.mutation[0].upper()}{case.mutation[1:]}Input"
    query = (
        f"mutation ($input: {kind}!) {{ {case.mutation}(input: $input) {{ {case.select} userErrors {{ code }} }} }}"
    )
    payload: dict[str, Any] = (await ApiClient(server.url, token).execute(query, {"input": case.input}))[
        case.mutation
    ]
    return payload


async def target_of(company: Company, record: Record, payload: dict[str, Any]) -> UUID:
    """The target that a record must have."""
    if isinstance(record.target, UUID):
        return record.target
    if record.target == NEW_SESSION:
        newest = "SELECT id FROM user_sessions ORDER BY created_at DESC LIMIT 1"
        target = await company.database.connection.fetchval(newest)
        assert isinstance(target, UUID)
        return target
    return id_at(payload, record.target)


def id_at(payload: dict[str, Any], path: str) -> UUID:
    """The id at a path in a payload."""
    value: Any = reduce(lambda part, name: part[name], path.split("."), payload)
    decoded = decode_global_id(value)
    assert decoded is not None
    return decoded[1]


def who_of(record: dict[str, Any]) -> tuple[str, str | None]:
    """The kind of a record's actor, and its user."""
    return record["actor_kind"], record["user_id"]


@pytest.mark.parametrize("mutation", sorted(set(DECLARED) - {OVER_A_SOCKET}))
async def test_mutations_leave_the_records_that_they_declare(
    company: Company, audited_server: Served, mutation: str
) -> None:
    """Each call leaves its records: action, target, actor, changes and request id."""
    calls = [case for case in cases(company) if case.mutation == mutation]
    assert calls, f"Add calls of {mutation} to tests/audit/cases.py."
    actions: set[str] = set()
    for case in calls:
        await company.restore()
        before = await records(company)
        payload = await run(company, audited_server, case)
        assert bool(payload["userErrors"]) is case.refused, payload
        left = (await records(company))[len(before) :]
        expected = [
            (record.action, str(await target_of(company, record, payload)), record.changes) for record in case.records
        ]
        assert [(each["action"], each["target_id"], each["changes"]) for each in left] == expected
        user = id_at(payload, "viewer.id") if case.who == NEW_USER else case.who
        who = ("system", None) if user == SYSTEM else ("user", str(user))
        assert {who_of(each) for each in left} <= {who}
        assert all(each["request_id"] for each in left)
        actions |= {record.action for record in case.records}
    declared = DECLARED[mutation]
    assert actions == (set() if isinstance(declared, Unaudited) else set(declared))


async def test_a_renewed_connection_leaves_no_record(company: Company, audited_server: Served) -> None:
    """The only mutation that requires a WebSocket changes nothing that is stored."""
    before = await records(company)
    token = factories.token(company.runtime, company.owner)
    query = "mutation ($token: String!) { renewConnection(input: {accessToken: $token}) { expiresIn } }"
    async with connected(audited_server) as socket:
        await socket.ready(token)
        await socket.subscribe(query, variables={"token": token})
        answer = await socket.next()
    assert answer["payload"]["data"]["renewConnection"]["expiresIn"] > 0
    assert await records(company) == before
    assert isinstance(DECLARED[OVER_A_SOCKET], Unaudited)


async def test_queries_do_not_change_the_database(company: Company) -> None:
    """Random queries, until each root field of Query was executed, write no record or anything else."""
    assert CORE.query_type is not None
    unasked = set(CORE.query_type.fields)
    before = await company.database.written()
    for number in range(MAX_DRAWN):
        random = Random(number)  # noqa: S311 - the same draw each time
        text, variables = document(CORE, random, "query", literals=literals(company))
        # Not with Strawberry's own `execute`, which logs invalid documents with the addresses in them.
        operation = GeneratedOperation(
            kind="query", text=text, document=parse(text), variables=variables, actor=company.owner
        )
        result = await start_operation(company, BY_CORE, operation)
        unasked -= set() if result.errors else root_fields(text)
        if not unasked:
            break
    assert unasked == set()
    assert await company.database.written() == before


def root_fields(text: str) -> set[str]:
    """The root fields that an operation selects."""
    operation = parse(text).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return {each.name.value for each in operation.selection_set.selections if isinstance(each, FieldNode)}


def test_every_mutation_declares_its_actions_or_a_reason() -> None:
    """An action is a noun and a past participle; a reason for none is a sentence."""
    for mutation, audit in DECLARED.items():
        if isinstance(audit, Unaudited):
            assert re.fullmatch(r"[A-Z].{20,}\.", audit.reason), mutation
        else:
            assert audit, mutation
            assert all(ACTION.fullmatch(action) for action in audit), mutation


def test_the_documented_table_is_current() -> None:
    """The table of docs/audit.md is what `nudge audit-actions` prints."""
    match = re.search(r"<!-- audit: begin -->\n(.*?)\n<!-- audit: end -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert match is not None
    assert match[1] == table()
