"""Adding contacts to lists when they are created."""

import pytest
from sqlalchemy import select

from core.errors import ErrorCode, InputErrors
from models.audit import AuditEvent
from runtime import Runtime
from services import lists
from services.contacts import changing
from tests import factories
from tests.statements import statements


async def test_a_contact_is_added_to_lists_in_one_statement(runtime: Runtime) -> None:
    """One list and 100 lists take the same number of statements; each list has its record; more are refused."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        list_ids = [(await lists.create(uow, f"List {number}")).id for number in range(changing.MAX_LISTS)]
    sent: list[int] = []
    for number, some in enumerate((list_ids[:1], list_ids)):
        with statements(runtime) as queries:
            async with runtime.work.begin(actor) as uow:
                await changing.create(uow, {"email": f"{number}@example.com"}, list_ids=some)
        sent.append(len(queries))
    assert sent[0] == sent[1]
    recorded = select(AuditEvent.target_id, AuditEvent.changes).where(AuditEvent.action == "list_member.added")
    rows = await runtime.reads(actor.tenant).rows(recorded.order_by(AuditEvent.id))
    assert [tuple(row) for row in rows] == [(each, {"contacts": 1}) for each in (list_ids[0], *list_ids)]
    reads = runtime.reads(actor.tenant)
    assert await lists.member_counts(reads, list_ids) == {each: 2 if each == list_ids[0] else 1 for each in list_ids}
    with pytest.raises(InputErrors) as excinfo:
        async with runtime.work.begin(actor) as uow:
            await changing.create(uow, {"email": "c@example.com"}, list_ids=[*list_ids, list_ids[0]])
    assert [(error.error_code, error.field) for error in excinfo.value.errors] == [
        (ErrorCode.TOO_MANY, ("input", "listIds"))
    ]
