"""Errors are told by type and place: what their messages, their frames and their notes hold stays out."""

import asyncio
import json
import traceback
from collections.abc import Callable

import aiohttp
import asyncpg
import openai
import orjson
import pytest
from email_validator import validate_email
from graphql import GraphQLError
from httpx2 import Request, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from yarl import URL

from core.database.engine import create_engine, dispose
from core.failures import MAX_TEXT, describe_error, traceback_text
from tests.conftest import Servers
from tests.logs.planting import Planted

PLANTED = Planted()
SECRET = PLANTED.body


class Model(BaseModel):
    """Something to validate."""

    number: int
    missing: str


def api_error() -> None:
    """An answer of a model's server that repeats the prompt."""
    response = Response(400, request=Request("POST", "http://model.example/"))
    raise openai.BadRequestError(SECRET, response=response, body={"error": SECRET})


def http_error() -> None:
    """An answer whose URL and message hold what they should not."""
    info = aiohttp.RequestInfo(URL(f"http://x.example/?token={SECRET}"), "GET", {}, URL("http://x.example/"))  # type: ignore[arg-type]
    raise aiohttp.ClientResponseError(info, (), status=500, message=SECRET)


def noted() -> None:
    """An error with a note."""
    error = LookupError("no message")
    error.add_note(SECRET)
    raise error


def from_another() -> None:
    """An error raised from one whose message holds a value."""
    try:
        int(SECRET)
    except ValueError as error:
        raise RuntimeError(SECRET) from error


def grouped() -> None:
    """A group, within a group."""
    raise ExceptionGroup(SECRET, [ExceptionGroup(SECRET, [ValueError(SECRET)]), KeyError(SECRET)])


RAISERS: list[Callable[[], object]] = [
    lambda: int(SECRET),
    lambda: dict[str, int]()[SECRET],
    lambda: Model.model_validate({"number": SECRET}),
    lambda: json.loads(SECRET),
    lambda: orjson.loads(SECRET),
    lambda: validate_email(f"{SECRET}@x@y", check_deliverability=False),
    f"{SECRET}\udcff".encode,
    lambda: open(f"/nowhere/{SECRET}"),  # noqa: PTH123, SIM115 - it fails
    lambda: exec("raise GraphQLError(SECRET)", {"GraphQLError": GraphQLError, "SECRET": SECRET}),  # noqa: S102
    api_error,
    http_error,
    noted,
    from_another,
    grouped,
]


@pytest.mark.parametrize("number", range(len(RAISERS)))
def test_messages_stay_out(number: int) -> None:
    """Whatever a library puts into its error's message, the log has the type and the place."""
    local = SECRET  # would be among a frame's locals
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any
        RAISERS[number]()
    told = f"{describe_error(caught.value)}\n{traceback_text(caught.value)}"
    assert PLANTED.found_in(told) == []
    assert local not in told
    assert type(caught.value).__name__ in told
    assert "tests/logs/test_failures.py" in told
    assert f"line {caught.tb.tb_lineno}, in test_messages_stay_out" in told


DUPLICATE = "INSERT INTO probe VALUES (:value), (:value)"
CAST = "SELECT CAST(CAST(:value AS text) AS integer)"


async def run(url: str, statement: str) -> None:
    """Run a statement with an address for its value, as the app's engine does."""
    engine = create_engine(url, pool_size=1, statement_timeout_seconds=60)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TEMPORARY TABLE probe (value text CONSTRAINT one UNIQUE)"))
            await connection.execute(text(statement), {"value": PLANTED.address})
    finally:
        await dispose(engine)


@pytest.mark.parametrize(("statement", "state"), [(DUPLICATE, "23505"), (CAST, "22P02")])
async def test_rows_and_parameters_stay_out(servers: Servers, statement: str, state: str) -> None:
    """PostgreSQL's DETAIL holds the row, its messages the value: SQLSTATE and names of constraints are told."""
    url = servers.postgres.admin_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    with pytest.raises(SQLAlchemyError) as caught:
        await run(url, statement)
    assert PLANTED.address in "".join(traceback.format_exception(caught.value))
    told = f"{describe_error(caught.value)}\n{traceback_text(caught.value)}"
    assert PLANTED.found_in(told) == []
    assert state in told
    assert ("probe one" in describe_error(caught.value)) == (state == "23505")


async def test_drivers_own_errors(servers: Servers) -> None:
    """Asyncpg's errors about arguments hold the argument."""
    connection = await asyncpg.connect(servers.postgres.admin_url)
    try:
        with pytest.raises(asyncpg.DataError) as caught:
            await connection.fetch("SELECT $1::int", SECRET)
    finally:
        await connection.close()
    assert PLANTED.found_in(str(caught.value))
    assert not PLANTED.found_in(traceback_text(caught.value))


async def test_what_helps_is_told() -> None:
    """Errors of the system and of code keep their words."""
    with pytest.raises(OSError, match="Connect call failed") as refused:
        await asyncio.open_connection("127.0.0.1", 9)
    assert describe_error(refused.value).startswith("ConnectionRefusedError: [Errno 111]")
    with pytest.raises(AttributeError) as missing:
        getattr(None, "nothing")  # noqa: B009 - mypy
    assert describe_error(missing.value) == "AttributeError: 'NoneType' object has no attribute 'nothing'"
    with pytest.raises(RuntimeError) as caused:
        from_another()
    assert describe_error(caused.value) == "RuntimeError < ValueError"
    told = traceback_text(caused.value)
    assert told.index("ValueError") < told.index("the direct cause") < told.index("RuntimeError")
    assert "    raise RuntimeError(SECRET) from error" in told


def test_however_deep_it_is_bounded() -> None:
    """Endless recursion, long chains and large groups make a text of at most some thousand characters."""

    def deeper(number: int) -> int:
        return deeper(number + 1)

    with pytest.raises(RecursionError) as deep:
        deeper(0)
    error: BaseException = ValueError(SECRET)
    for number in range(200):
        outer = ValueError(number)
        outer.__cause__ = error
        error = outer
    group = ExceptionGroup("many", [ExceptionGroup("inner", [ValueError(SECRET)] * 500)] * 500)
    for each in (deep.value, error, group):
        told = traceback_text(each)
        assert len(told) < MAX_TEXT + 100
        assert len(describe_error(each)) <= 400
        assert SECRET not in told
    circle = ValueError()
    circle.__cause__ = circle
    assert describe_error(circle) == "ValueError < ValueError"
