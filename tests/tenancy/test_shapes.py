"""Statements of the columns that clients select: built for those who come again, and never more than fit."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Select, bindparam, select

from core.db import MOST_SHAPES, Shapes, only, reading, ready_forms, seated_forms
from core.listing import pages
from core.reading import MOST_PREPARED, ReadPool
from models.contacts import Contact
from runtime import Runtime
from services import contacts
from services.contacts.reading import CREATED_AT
from tests import factories
from tests.statements import statements

COLUMNS = [getattr(Contact, name) for name in ("id", "email", "first_name")]
NARROW = frozenset({"email"})


@pytest.fixture
def shapes() -> Iterator[Shapes]:
    """Shapes that nobody has asked for yet, and that leave nothing behind."""
    found = Shapes()
    yield found
    for statement in (*found.whole.values(), *found.narrow.values()):
        del ready_forms[statement], seated_forms[statement]


def build(columns: frozenset[str] | None) -> Select[*tuple[Any, ...]]:
    """A select of contacts; names that no column has make it a new shape all the same."""
    return select(*only(COLUMNS, columns)).where(Contact.email == bindparam("wanted", type_=Contact.email.type))


def shape(number: int) -> frozenset[str]:
    """One of as many sets of columns as a client thinks of."""
    return frozenset({"email", str(number)})


def kept_narrow(shapes: Shapes, columns: frozenset[str]) -> Select[*tuple[Any, ...]]:
    """The statement of these columns alone, which is built when they are asked for again."""
    shapes.get("list", build, columns)
    return shapes.get("list", build, columns)


def test_columns_are_read_among_all_others_the_first_time(shapes: Shapes) -> None:
    """A set that nobody asked for before has nothing built for it; the second time it has, once and for all."""
    whole = shapes.get("list", build, None)
    kept = len(ready_forms)
    assert shapes.get("list", build, NARROW) is whole
    assert len(ready_forms) == kept
    narrow = shapes.get("list", build, NARROW)
    assert narrow is not whole
    assert narrow in ready_forms
    assert shapes.get("list", build, NARROW) is shapes.get("list", build, NARROW) is narrow
    assert shapes.get("list", build, None) is whole
    assert len(ready_forms) == kept + 1


def test_each_form_has_its_own(shapes: Shapes) -> None:
    """What was asked of one form is new to another."""
    first = [shapes.get("one", build, NARROW) for _ in range(2)]
    other = [shapes.get("other", build, NARROW) for _ in range(2)]
    assert len({*first, *other}) == 4


def test_who_asks_for_all_sorts_of_columns_once_drives_nobody_out(shapes: Shapes) -> None:
    """However many sets come by, nothing is built, what is kept stays, and what is noted of them is bounded."""
    narrow = kept_narrow(shapes, NARROW)
    kept = len(ready_forms)
    for _ in range(2):
        for number in range(MOST_SHAPES + 50):
            shapes.get("list", build, shape(number))
    assert shapes.get("list", build, NARROW) is narrow
    assert len(ready_forms) == kept
    assert len(shapes.once) == MOST_SHAPES


def test_the_shapes_asked_for_last_stay(shapes: Shapes) -> None:
    """Of more than 200 that are asked for again, those that were not asked for the longest go, and leave nothing."""
    whole = shapes.get("list", build, None)
    kept = len(ready_forms)
    first, second, *_ = [
        [shapes.get("list", build, shape(number)) for _ in range(2)][1] for number in range(MOST_SHAPES)
    ]
    assert len(ready_forms) == kept + MOST_SHAPES
    assert shapes.get("list", build, shape(0)) is first
    kept_narrow(shapes, NARROW)
    assert len(ready_forms) == len(seated_forms) == kept + MOST_SHAPES
    assert first in ready_forms
    assert second not in ready_forms
    assert second not in seated_forms
    assert shapes.get("list", build, shape(1)) is whole


async def test_a_page_has_what_was_selected_by_either_statement(runtime: Runtime) -> None:
    """Read among all columns, and alone: the same values, in rows of the same class."""
    principal = await factories.organization(runtime)
    await factories.contacts(runtime, principal, 3)
    request, columns = pages.requested(first=2), frozenset({"email", "time_zone", "of this test alone"})
    found, texts = [], []
    for _ in range(3):
        with statements(runtime) as seen:
            page = await contacts.page(runtime.reads(principal.tenant), request, CREATED_AT, columns=columns)
        found.append([(type(row), row.id, row.email, row.time_zone) for row in page.rows])
        texts += [text for text, _ in seen]
    assert found == found[:1] * 3
    assert ["contacts.custom_fields" in text for text in texts] == [True, False, False]


async def test_a_connection_keeps_the_statements_that_ran_last(runtime: Runtime) -> None:
    """Of more than 400 that are prepared on it, those that did not run the longest go, in the server as well."""
    usual = reading(runtime.engine).pool
    assert usual is not None
    pool = ReadPool(usual.connect, size=1, patience_seconds=60)
    for number in range(MOST_PREPARED + 10):
        await pool.fetch(f"SELECT {number}", ())
        await pool.fetch("SELECT 0", ())
    [lease] = pool.free
    assert len(lease.statements) == MOST_PREPARED
    assert {"SELECT 0", f"SELECT {MOST_PREPARED + 9}"} <= lease.statements.keys()
    assert not {"SELECT 1", "SELECT 10"} & lease.statements.keys()
    [row] = await lease.connection.fetch("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'nudge%'")
    assert row["count"] == MOST_PREPARED
    await pool.aclose()
