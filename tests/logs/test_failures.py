"""Errors are logged by type and location, without the contents of messages, local variables and notes."""

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
from tests.logs.markers import Markers

MARKERS = Markers()
SECRET = MARKERS.body


class Model(BaseModel):
    """A model to validate."""

    number: int
    missing: str


def api_error() -> None:
    """A response of a language model's server that repeats the prompt."""
    response = Response(400, request=Request("POST", "http://model.example/"))
    raise openai.BadRequestError(SECRET, response=response, body={"error": SECRET})


def http_error() -> None:
    """A response whose URL and message contain a secret."""
    info = aiohttp.RequestInfo(URL(f"http://x.example/?token={SECRET}"), "GET", {}, URL("http://x.example/"))  # type: ignore[arg-type]
    raise aiohttp.ClientResponseError(info, (), status=500, message=SECRET)


def noted() -> None:
    """An error with a note."""
    error = LookupError("no message")
    error.add_note(SECRET)
    raise error


def chained() -> None:
    """An error raised from another; the messages of both contain a secret."""
    try:
        int(SECRET)
    except ValueError as error:
        raise RuntimeError(SECRET) from error


def grouped() -> None:
    """A group within a group."""
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
    chained,
    grouped,
]


@pytest.mark.parametrize("number", range(len(RAISERS)))
def test_messages_are_not_logged(number: int) -> None:
    """The log contains only the type and the location of a library's error, never its message."""
    local = SECRET  # would be among a frame's locals
    with pytest.raises(Exception) as excinfo:  # noqa: PT011 - any
        RAISERS[number]()
    logged = f"{describe_error(excinfo.value)}\n{traceback_text(excinfo.value)}"
    assert MARKERS.find_in(logged) == []
    assert local not in logged
    assert type(excinfo.value).__name__ in logged
    assert "tests/logs/test_failures.py" in logged
    assert f"line {excinfo.tb.tb_lineno}, in test_messages_are_not_logged" in logged


DUPLICATE = "INSERT INTO probe VALUES (:value), (:value)"
CAST = "SELECT CAST(CAST(:value AS text) AS integer)"


async def run(url: str, statement: str) -> None:
    """Run a statement whose parameter is an address, through the app's engine."""
    engine = create_engine(url, pool_size=1, statement_timeout_seconds=60)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TEMPORARY TABLE probe (value text CONSTRAINT one UNIQUE)"))
            await connection.execute(text(statement), {"value": MARKERS.address})
    finally:
        await dispose(engine)


@pytest.mark.parametrize(("statement", "state"), [(DUPLICATE, "23505"), (CAST, "22P02")])
async def test_rows_and_parameters_are_not_logged(servers: Servers, statement: str, state: str) -> None:
    """PostgreSQL's DETAIL contains the row, its messages the value; SQLSTATE and constraint names are logged."""
    url = servers.postgres.admin_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    with pytest.raises(SQLAlchemyError) as excinfo:
        await run(url, statement)
    assert MARKERS.address in "".join(traceback.format_exception(excinfo.value))
    logged = f"{describe_error(excinfo.value)}\n{traceback_text(excinfo.value)}"
    assert MARKERS.find_in(logged) == []
    assert state in logged
    assert ("probe one" in describe_error(excinfo.value)) == (state == "23505")


async def test_driver_errors(servers: Servers) -> None:
    """Asyncpg's errors about arguments contain the argument, which is not logged."""
    connection = await asyncpg.connect(servers.postgres.admin_url)
    try:
        with pytest.raises(asyncpg.DataError) as excinfo:
            await connection.fetch("SELECT $1::int", SECRET)
    finally:
        await connection.close()
    assert MARKERS.find_in(str(excinfo.value))
    assert not MARKERS.find_in(traceback_text(excinfo.value))


async def test_harmless_messages_are_logged() -> None:
    """The messages of system errors and programming errors are logged unchanged."""
    with pytest.raises(OSError, match="Connect call failed") as excinfo:
        await asyncio.open_connection("127.0.0.1", 9)
    assert describe_error(excinfo.value).startswith("ConnectionRefusedError: [Errno 111]")
    with pytest.raises(AttributeError) as missing:
        getattr(None, "nothing")  # noqa: B009 - mypy
    assert describe_error(missing.value) == "AttributeError: 'NoneType' object has no attribute 'nothing'"
    with pytest.raises(RuntimeError) as caused:
        chained()
    assert describe_error(caused.value) == "RuntimeError < ValueError"
    logged = traceback_text(caused.value)
    assert logged.index("ValueError") < logged.index("the direct cause") < logged.index("RuntimeError")
    assert "    raise RuntimeError(SECRET) from error" in logged


def test_size_is_bounded() -> None:
    """The text of endless recursion, long chains and large groups is limited to some thousand characters."""

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
        logged = traceback_text(each)
        assert len(logged) < MAX_TEXT + 100
        assert len(describe_error(each)) <= 400
        assert SECRET not in logged
    circle = ValueError()
    circle.__cause__ = circle
    assert describe_error(circle) == "ValueError < ValueError"
