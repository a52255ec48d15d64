"""Reads straight through asyncpg: the same rows as SQLAlchemy's, a fair turn for everyone, and no connection lost."""

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import (
    ARRAY,
    DateTime,
    Integer,
    Row,
    Select,
    Uuid,
    bindparam,
    column,
    func,
    insert,
    literal_column,
    select,
    table,
)
from sqlalchemy.exc import DBAPIError

import services
from core.access.actor import Actor
from core.database.engine import read_side
from core.database.pool import PoolStatistics, ReadPool
from core.database.prepared import DIALECT, PreparedSelect, compile_select, prepared_selects
from core.database.scopes import ReadScope
from core.ids import new_id
from core.listing.cursors import TEXTS
from core.listing.listing import Listing
from core.listing.pages import PageRequest, page_parameters, page_request
from models.contacts import Contact
from models.deliveries import EmailDelivery
from runtime import Runtime
from services import lists, templates
from services.contacts import changing as contact_changing
from services.contacts.history import EVENTS
from services.contacts.listing import CONTACTS
from services.conversations import changing as conversation_changing
from services.senders import changing as sender_changing
from tests import factories
from tests.conftest import Servers
from tests.waiting import WAIT_SECONDS

if TYPE_CHECKING:
    from services.contacts.fields import UncheckedFields

MODULES = [importlib.import_module(each.name) for each in pkgutil.walk_packages(services.__path__, "services.")]

EMAILS = compile_select(select(Contact.email).where(Contact.email != bindparam("but", type_=Contact.email.type)))
PERSON = "person@example.com"
TEN = page_request(first=10)
LISTINGS = [
    value
    for value in {id(each): each for module in MODULES for each in vars(module).values()}.values()
    if isinstance(value, Listing)
]
CURSORS = {"after_key", "before_key"}
PID = compile_select(select(func.pg_backend_pid().label("pid")))


def pool_of(runtime: Runtime) -> ReadPool:
    """The runtime's own pool."""
    pool = read_side(runtime.engine).pool
    assert pool is not None
    return pool


@asynccontextmanager
async def pool_of_one(runtime: Runtime, *, timeout_seconds: float = WAIT_SECONDS) -> AsyncIterator[ReadPool]:
    """A pool of one connection, all of which is there again at the end."""
    pool = ReadPool(pool_of(runtime).connect, size=1, timeout_seconds=timeout_seconds)
    yield pool
    assert (pool.free_slots + len(pool.free), len(pool.waiting)) == (1, 0)
    await pool.aclose()
    assert (pool.free_slots, len(pool.free)) == (1, 0)


@pytest.fixture
async def single(runtime: Runtime) -> AsyncIterator[ReadPool]:
    async with pool_of_one(runtime) as pool:
        yield pool


async def rows_of(
    pool: ReadPool, statement: PreparedSelect, parameters: Mapping[str, Any]
) -> Sequence[Row[*tuple[Any, ...]]]:
    """The rows of a read."""
    return statement.rows(await pool.fetch(statement, parameters))


async def pid(pool: ReadPool) -> int:
    """The server process that answers."""
    (row,) = await rows_of(pool, PID, {})
    return int(row.pid)


async def one_of_each(runtime: Runtime, actor: Actor) -> list[UUID]:
    """The ids of a campaign with a delivery, a contact with an event, and of one of each that is beside them."""
    campaign_id = await factories.campaign(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        friends = await lists.create(uow, "Friends")
        values: UncheckedFields = {"email": PERSON, "tags": ["friend"], "custom_fields": {"sizes": [1, "L"]}}
        person = await contact_changing.create(uow, values, list_ids=[friends.id])
        plain = await templates.create(uow, {"name": "Plain", "subject": "Hi", "html_content": "<p>Hi</p>"})
        talk = await conversation_changing.start(uow, title="Friends")
        question, _ = await conversation_changing.send(uow, talk.id, "How many friends?")
        policy = runtime.sender_policy
        sender = await sender_changing.create(uow, policy, *sender_changing.check_sender(policy, PERSON, "Friends"))
        delivery_id = new_id()
        address = {"email": PERSON, "email_norm": PERSON}
        own = {"organization_id": actor.organization_id, "campaign_id": campaign_id, "contact_id": person.id}
        await uow.execute(insert(EmailDelivery).values(id=delivery_id, **own, **address))
    events = await EVENTS.pages_of(runtime.reads(actor.tenant), [person.id], TEN)
    (event,) = events[person.id].rows
    ids = [campaign_id, delivery_id, person.id, event.id, friends.id, plain.id, talk.id, question.id]
    return [*ids, actor.require_user_id(), actor.organization_id, sender.id]


def statement_of(listing: Listing[Any], request: PageRequest) -> Select[*tuple[Any, ...]]:
    """The statement of a page, as the listing has it prepared."""
    if listing.parent is not None:
        return listing.pages_statement(request)
    return listing.page_statement(listing.order, request)


async def first_page(scope: ReadScope) -> Sequence[Row[*tuple[Any, ...]]]:
    """The first ten contacts."""
    return await scope.rows(statement_of(CONTACTS, TEN), page_parameters(CONTACTS.order, TEN))


def samples(statement: Select[*tuple[Any, ...]], value: UUID, actor: Actor) -> dict[str, object]:
    """A value for each of a statement's parameters."""
    binds = statement.compile(dialect=DIALECT).binds
    parameters: dict[str, object] = {}
    for name, bind in binds.items():
        if name == "organization":
            parameters[name] = actor.organization_id
        elif name == "session":
            parameters[name] = factories.session_id_of(actor)
        elif isinstance(bind.type, ARRAY):
            parameters[name] = [value]
        elif isinstance(bind.type, Uuid) and bind.required:
            parameters[name] = value
        elif isinstance(bind.type, Integer) and bind.required:
            parameters[name] = 10
        elif isinstance(bind.type, DateTime) and bind.required:
            parameters[name] = datetime(2026, 1, 2, tzinfo=UTC)
        elif bind.required:
            parameters[name] = PERSON
    return parameters


async def test_every_prepared_statement_gives_the_rows_of_sqlalchemy(runtime: Runtime) -> None:
    """Names, values and their types are the same both ways, JSON and times included."""
    actor = await factories.organization(runtime)
    ids = await one_of_each(runtime, actor)
    straight = runtime.reads(actor.tenant)
    usual = ReadScope(read_side(runtime.engine), actor.tenant)
    assert straight.pool is not None
    usual.pool = None
    statements_of_listings = {statement_of(listing, TEN) for listing in LISTINGS}
    prepared = list(prepared_selects)  # including those of other tests
    assert statements_of_listings <= set(prepared)
    silent = {statement for statement in prepared if not statement.compile(dialect=DIALECT).binds.keys() & CURSORS}
    for statement in prepared:
        for example_id in ids:
            parameters = samples(statement, example_id, actor)
            ours, theirs = await straight.rows(statement, parameters), await usual.rows(statement, parameters)
            assert [dict(row._mapping) for row in ours] == [dict(row._mapping) for row in theirs]
            assert [row._fields for row in ours] == [row._fields for row in theirs]
            assert [[type(value).__mro__[-2] for value in row] for row in ours] == [
                [type(value).__mro__[-2] for value in row] for row in theirs
            ]
            if ours:
                silent.discard(statement)
    assert not [str(each) for each in silent]


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda listing: listing.noun)
@pytest.mark.parametrize("backward", [False, True])
def test_a_prepared_statement_holds_nobodys_cursor(listing: Listing[Any], *, backward: bool) -> None:
    """A prepared statement contains no value of its first caller: execution without a parameter fails."""
    order = listing.order
    key = PERSON if order.keys is TEXTS else datetime(2026, 1, 2, tzinfo=UTC)
    (cursor,) = order.cursors([SimpleNamespace(**{order.key.key: key, order.id.key: UUID(int=1)})])
    request = PageRequest(size=7, backward=backward, after=cursor, before=cursor)
    form = prepared_selects[statement_of(listing, request)]
    assert form.defaults == {}
    tenant = dict.fromkeys(("tenant_organization", "tenant_user", "tenant_role"), "")
    parameters = {"parents": [UUID(int=1)], **tenant, **page_parameters(order, request)}
    form.arguments(parameters)
    for name in page_parameters(order, request):
        with pytest.raises(KeyError, match=name):
            form.arguments({other: value for other, value in parameters.items() if other != name})


async def test_tenants_that_share_a_connection_see_their_own(runtime: Runtime, single: ReadPool) -> None:
    """A hundred reads of two tenants, one after the other on one connection: none sees a row of the other."""
    actors = [await factories.organization(runtime) for _ in range(2)]
    expected = []
    for count, actor in enumerate(actors, 2):
        expected.append(len(await factories.contacts(runtime, actor, count)))
    scopes = [runtime.reads(actors[turn % 2].tenant) for turn in range(100)]
    for scope in scopes:
        scope.pool = single
    pages = await asyncio.gather(*(first_page(scope) for scope in scopes))
    assert [len(rows) for rows in pages] == expected * 50
    assert len(single.free) == 1


async def test_whom_a_read_is_for_cannot_be_changed_on_the_way(runtime: Runtime) -> None:
    """What sets a tenant is shared by all its reads, and read-only; each way of reading takes it as it is."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 2)
    shared = actor.tenant.parameters
    with pytest.raises(TypeError):
        shared["tenant_organization"] = "another"  # type: ignore[index]
    scope = runtime.reads(actor.tenant)
    unprepared = (
        select(Contact.id),
        select(Contact.id).where(Contact.email != bindparam("but", type_=Contact.email.type)),
    )
    assert len(await first_page(scope)) == 2
    assert await CONTACTS.count(scope) == 2
    assert len(await scope.rows(unprepared[0])) == len(await scope.rows(unprepared[1], {"but": ""})) == 2
    assert (shared["tenant_organization"], len(shared)) == (str(actor.organization_id), 3)


async def test_without_a_tenant_there_are_no_rows(runtime: Runtime, single: ReadPool) -> None:
    """Earlier tenants leave nothing on the connection: the settings end with their statement."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 2)
    scope = runtime.reads(actor.tenant)
    scope.pool = single
    assert len(await first_page(scope)) == 2
    assert await rows_of(single, EMAILS, {"but": ""}) == []
    with pytest.raises(KeyError):
        await rows_of(single, EMAILS, actor.tenant.parameters)


async def test_who_asks_first_is_served_first(single: ReadPool) -> None:
    """A released connection goes to the reader that has waited the longest, not to a new one."""
    order: list[int] = []

    async def ask(number: int) -> None:
        connection = await single.acquire()
        order.append(number)
        await asyncio.sleep(0)
        single.release(connection)

    connection = await single.acquire()
    waiting = [asyncio.create_task(ask(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert single.statistics() == PoolStatistics(busy=1, free=0, waiting=5)
    single.release(connection)
    late = asyncio.create_task(ask(99))
    await asyncio.gather(*waiting, late)
    assert order == [0, 1, 2, 3, 4, 99]


async def test_a_connection_is_not_lost_with_the_one_who_waited(single: ReadPool) -> None:
    """A cancelled reader leaves the connection to the next one, also while acquiring it."""
    connection = await single.acquire()
    leaving = asyncio.create_task(single.acquire())
    staying = asyncio.create_task(single.acquire())
    await asyncio.sleep(0)
    single.release(connection)  # to the first, which does not live to see it
    leaving.cancel()
    assert await staying is connection
    single.release(connection)


async def test_each_waiting_caller_times_out(runtime: Runtime) -> None:
    """Also after another caller got a connection in time; a timeout costs no connection."""
    async with pool_of_one(runtime, timeout_seconds=0.2) as hasty:
        connection = await hasty.acquire()
        served = asyncio.create_task(hasty.acquire())
        await asyncio.sleep(0)
        hasty.release(connection)
        assert await served is connection
        await asyncio.sleep(0.05)  # so that the first one's time is over before the second one's
        async with asyncio.timeout(WAIT_SECONDS) as limit:
            with pytest.raises(TimeoutError):
                await pid(hasty)
        assert not limit.expired()
        hasty.release(connection)
        assert await hasty.acquire() is connection
        hasty.release(connection)


async def test_connections_that_died_are_replaced(single: ReadPool, servers: Servers) -> None:
    """A read after a restart of the server, or of its connections, is run once more."""
    before = await pid(single)
    admin = await asyncpg.connect(servers.postgres.admin_url)
    for wait in (0.0, 0.1):  # noticed while the statement runs, and before
        assert await admin.fetchval("SELECT pg_terminate_backend($1)", await pid(single))
        await asyncio.sleep(wait)
        assert await pid(single) != before
    await admin.close()


async def test_a_table_that_changed_is_prepared_anew(fresh_runtime: Runtime) -> None:
    """After a migration the plan of a statement is invalid; the read continues with a new one."""
    assert fresh_runtime.settings.database.migrator_url is not None
    url = fresh_runtime.settings.database.migrator_url.get_secret_value().replace("+asyncpg", "")
    migrator = await asyncpg.connect(url)
    pool = ReadPool(pool_of(fresh_runtime).connect, size=2, timeout_seconds=WAIT_SECONDS)
    statement = compile_select(select(column("n")).select_from(table("things")))
    await migrator.execute("CREATE TABLE things AS SELECT 7 AS n; GRANT SELECT ON things TO nudge_app")
    both = await asyncio.gather(rows_of(pool, statement, {}), rows_of(pool, statement, {}))
    await migrator.execute("ALTER TABLE things ALTER COLUMN n TYPE text USING n::text")
    after = [await rows_of(pool, statement, {}) for _ in range(2)]
    await migrator.close()
    await pool.aclose()
    assert [[tuple(row) for row in rows] for rows in both] == [[(7,)], [(7,)]]
    assert [[tuple(row) for row in rows] for rows in after] == [[("7",)], [("7",)]]


async def test_a_refused_statement_costs_no_connection_and_tells_nothing(single: ReadPool) -> None:
    """The error is SQLAlchemy's, without the parameters."""
    before = await pid(single)
    wrong = compile_select(select((literal_column("1") / bindparam("zero", type_=Integer)).label("n")))
    unfit = compile_select(select(bindparam("number", type_=Integer).label("n")))
    with pytest.raises(DBAPIError, match="division by zero"):
        await rows_of(single, wrong, {"zero": 0})
    with pytest.raises(DBAPIError) as excinfo:
        await rows_of(single, unfit, {"number": "a secret" * 40})
    assert excinfo.value.params is None
    assert await pid(single) == before


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "0044-03-15 00:00:00+00 BC", "10000-01-01 00:00:00+00"])
async def test_a_time_that_python_has_no_value_for_fails_its_read(single: ReadPool, moment: str) -> None:
    """It is not returned as another time, and the connection stays usable."""
    before = await pid(single)
    statement = compile_select(
        select(literal_column(f"'{moment}'::timestamptz", DateTime(timezone=True)).label("moment"))
    )
    with pytest.raises(ValueError, match="isoformat"):
        await rows_of(single, statement, {})
    assert await pid(single) == before


async def test_times_are_read_whatever_the_database_is_set_to(fresh_runtime: Runtime) -> None:
    """Each connection asks for ISO texts in UTC as it opens, which go before what database and role have."""
    url = fresh_runtime.settings.database.migrator_url
    assert url is not None
    migrator = await asyncpg.connect(url.get_secret_value().replace("+asyncpg", ""))
    name = await migrator.fetchval("SELECT current_database()")
    await migrator.execute(f"ALTER DATABASE {name} SET datestyle = 'German'")
    await migrator.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Kathmandu'")
    await migrator.close()
    pool = ReadPool(pool_of(fresh_runtime).connect, size=1, timeout_seconds=10)
    statement = compile_select(
        select(literal_column("'2026-01-02 03:04:05Z'::timestamptz", DateTime(timezone=True)).label("at"))
    )
    ((moment,),) = await rows_of(pool, statement, {})
    await pool.aclose()
    assert (moment, moment.tzinfo) == (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), UTC)


def test_a_list_of_any_length_cannot_be_prepared() -> None:
    """Its text depends on the list; preparing it raises an error at import."""
    with pytest.raises(ValueError, match="depends on its parameters"):
        compile_select(select(Contact.id).where(Contact.id.in_(bindparam("ids", expanding=True))))
