"""Statements of the columns that clients select: compiled at the second use, in a bounded cache."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Select, bindparam, select

from core.database.engine import read_side
from core.database.pool import MAX_PREPARED, ReadPool
from core.database.prepared import MAX_PROJECTIONS, ProjectionCache, prepared_selects, project
from core.listing.pages import page_request
from models.contacts import Contact
from runtime import Runtime
from services.contacts.listing import CONTACTS
from tests import factories
from tests.statements import statements

COLUMNS = [getattr(Contact, name) for name in ("id", "email", "first_name")]
NARROW = frozenset({"email"})


@pytest.fixture
def cache() -> Iterator[ProjectionCache]:
    """A new cache, whose statements are removed after the test."""
    projections = ProjectionCache()
    yield projections
    for statement in (*projections.whole.values(), *projections.narrow.values()):
        del prepared_selects[statement]


def build(columns: frozenset[str] | None) -> Select[*tuple[Any, ...]]:
    """A select of contacts; unknown column names also make it a new shape."""
    return select(*project(COLUMNS, columns)).where(Contact.email == bindparam("email", type_=Contact.email.type))


def shape(number: int) -> frozenset[str]:
    """One of as many sets of columns as a client thinks of."""
    return frozenset({"email", str(number)})


def prepared_narrow(cache: ProjectionCache, columns: frozenset[str]) -> Select[*tuple[Any, ...]]:
    """The statement of these columns alone, which is built when they are asked for again."""
    cache.get("list", build, columns)
    return cache.get("list", build, columns)


def test_columns_are_read_among_all_others_the_first_time(cache: ProjectionCache) -> None:
    """A set of columns is compiled at its second use, once, and not at its first."""
    whole = cache.get("list", build, None)
    before = len(prepared_selects)
    assert cache.get("list", build, NARROW) is whole
    assert len(prepared_selects) == before
    narrow = cache.get("list", build, NARROW)
    assert narrow is not whole
    assert narrow in prepared_selects
    assert cache.get("list", build, NARROW) is cache.get("list", build, NARROW) is narrow
    assert cache.get("list", build, None) is whole
    assert len(prepared_selects) == before + 1


def test_each_form_has_its_own(cache: ProjectionCache) -> None:
    """Uses are counted for each form separately."""
    first = [cache.get("one", build, NARROW) for _ in range(2)]
    other = [cache.get("other", build, NARROW) for _ in range(2)]
    assert len({*first, *other}) == 4


def test_who_asks_for_all_sorts_of_columns_once_drives_nobody_out(cache: ProjectionCache) -> None:
    """Any number of sets that are used once compiles nothing, evicts nothing, and takes bounded memory."""
    narrow = prepared_narrow(cache, NARROW)
    before = len(prepared_selects)
    for _ in range(2):
        for number in range(MAX_PROJECTIONS + 50):
            cache.get("list", build, shape(number))
    assert cache.get("list", build, NARROW) is narrow
    assert len(prepared_selects) == before
    assert len(cache.seen_once) == MAX_PROJECTIONS


def test_the_shapes_asked_for_last_stay(cache: ProjectionCache) -> None:
    """Of more than 200 that are asked for again, those that were not asked for the longest go, and leave nothing."""
    whole = cache.get("list", build, None)
    before = len(prepared_selects)
    first, second, *_ = [
        [cache.get("list", build, shape(number)) for _ in range(2)][1] for number in range(MAX_PROJECTIONS)
    ]
    assert len(prepared_selects) == before + MAX_PROJECTIONS
    assert cache.get("list", build, shape(0)) is first
    prepared_narrow(cache, NARROW)
    assert len(prepared_selects) == before + MAX_PROJECTIONS
    assert first in prepared_selects
    assert second not in prepared_selects
    assert cache.get("list", build, shape(1)) is whole


async def test_a_page_has_what_was_selected_by_either_statement(runtime: Runtime) -> None:
    """Read among all columns, and alone: the same values, in rows of the same class."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 3)
    request, columns = page_request(first=2), frozenset({"email", "time_zone", "of this test alone"})
    pages, texts = [], []
    for _ in range(3):
        with statements(runtime) as queries:
            page = await CONTACTS.page(runtime.reads(actor.tenant), request, columns=columns)
        pages.append([(type(row), row.id, row.email, row.time_zone) for row in page.rows])
        texts += [text for text, _ in queries]
    assert pages == pages[:1] * 3
    assert ["contacts.custom_fields" in text for text in texts] == [True, False, False]


async def test_a_connection_keeps_the_statements_that_ran_last(runtime: Runtime) -> None:
    """Of more than 400 that are prepared on it, those that did not run the longest go, in the server as well."""
    usual = read_side(runtime.engine).pool
    assert usual is not None
    pool = ReadPool(usual.connect, size=1, timeout_seconds=60)
    for number in range(MAX_PREPARED + 10):
        await pool.fetch_sql(f"SELECT {number}", ())
        await pool.fetch_sql("SELECT 0", ())
    [pooled] = pool.free
    assert len(pooled.statements) == MAX_PREPARED
    assert {"SELECT 0", f"SELECT {MAX_PREPARED + 9}"} <= pooled.statements.keys()
    assert not {"SELECT 1", "SELECT 10"} & pooled.statements.keys()
    [row] = await pooled.connection.fetch("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'nudge%'")
    assert row["count"] == MAX_PREPARED
    await pool.aclose()
