"""Sign-up modes, rate limits by client, and the cost and the queue of password hashing."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from core import passwords
from core.access.settings import AuthSettings, SignUpMode
from core.configuration import Environment
from core.database.engine import create_engine
from core.database.scopes import SystemScope
from core.errors import InputErrors, RateLimited
from core.passwords import Passwords
from runtime import Runtime, running
from services.accounts import credentials as account_credentials
from services.accounts import opening, registration
from services.accounts.admission import Admission, SignUpClosed, build_admission
from services.accounts.credentials import InvalidCredentials
from services.accounts.opening import Owner
from settings import Settings
from tests.client import ApiClient
from tests.environments import in_environment
from tests.serving import served
from tests.waiting import WAIT_SECONDS

PASSWORD = "correct horse"
SIGN_UP = """mutation ($input: SignUpInput!) { signUp(input: $input) {
    accessToken userErrors { code field message suggestion } } }"""
LOG_IN = "mutation ($input: LogInInput!) { logIn(input: $input) { accessToken userErrors { code } } }"


@asynccontextmanager
async def api_under(runtime: Runtime) -> AsyncIterator[ApiClient]:
    """A server of the runtime."""
    async with served(runtime) as server:
        yield ApiClient(server.url)
    runtime.admission.passwords.close()


def values(email: str | None = None, password: str = PASSWORD) -> dict[str, Any]:
    """The variables of a sign-up."""
    fresh = email or f"{uuid4().hex}@nudge.example"
    return {"input": {"organizationName": "Acme", "email": fresh, "password": password, "fullName": "Ada"}}


@pytest.mark.parametrize(
    ("environment", "configured", "mode"),
    [
        (Environment.DEVELOPMENT, None, SignUpMode.OPEN),
        (Environment.TEST, None, SignUpMode.OPEN),
        (Environment.PRODUCTION, None, SignUpMode.CLOSED),
        (Environment.PRODUCTION, "open", SignUpMode.OPEN),
        (Environment.DEVELOPMENT, "CLOSED", SignUpMode.CLOSED),
    ],
)
def test_sign_up_is_closed_in_production_unless_configured_otherwise(
    cache: Redis, environment: Environment, configured: str | None, mode: SignUpMode
) -> None:
    """The default depends on the environment; the setting overrides it and is case-insensitive."""
    admission = build_admission(
        AuthSettings(sign_up=configured), cache, production=environment is Environment.PRODUCTION
    )
    admission.passwords.close()
    assert admission.mode is mode


async def test_closed_sign_up_suggests_what_to_do_instead(runtime: Runtime, cache: Redis) -> None:
    """The response is SIGN_UP_CLOSED for any values; the operator can still create organizations."""
    production = in_environment(runtime, cache, Environment.PRODUCTION)
    async with api_under(production) as api:
        for credentials in (values(), values(email="nobody", password="x")):
            payload = (await api.execute(SIGN_UP, credentials))["signUp"]
            (error,) = payload["userErrors"]
            assert (payload["accessToken"], error["code"]) == (None, "SIGN_UP_CLOSED")
            assert "nudge organization create" in error["suggestion"]
        email = f"{uuid4().hex}@nudge.example"
        owner = Owner(organization_name="Acme", email=email, full_name="Ada", password=PASSWORD)
        await opening.open_organization(production.work, production.admission, owner, issuer=None)
        payload = (await api.execute(LOG_IN, {"input": {"email": email, "password": PASSWORD}}))["logIn"]
        assert payload["accessToken"] is not None


@pytest.mark.usefixtures("cheap_hashes")
async def test_production_limits_the_sign_ups_of_a_client(runtime: Runtime, cache: Redis) -> None:
    """The eleventh within an hour is 429 with Retry-After and stores nothing; invalid ones are not counted."""
    async with api_under(in_environment(runtime, cache, Environment.PRODUCTION, sign_up="OPEN")) as api:
        for _ in range(20):
            await api.execute(SIGN_UP, values(password="short"))
        for _ in range(10):
            assert (await api.execute(SIGN_UP, values()))["signUp"]["userErrors"] == []
        last_input = values()
        reply = await api.send(SIGN_UP, last_input)
        assert (reply.status, reply.codes) == (429, ["RATE_LIMITED"])
        seconds = int(reply.headers["retry-after"])
        assert 3_000 < seconds <= 3_600
        assert reply.body["errors"][0]["extensions"]["retryAfter"] == seconds
        credentials = {"email": last_input["input"]["email"], "password": PASSWORD}
        assert (await api.execute(LOG_IN, {"input": credentials}))["logIn"]["accessToken"] is None


@pytest.mark.usefixtures("cheap_hashes")
async def test_production_limits_the_sign_ups_of_all_clients(runtime: Runtime, cache: Redis) -> None:
    """All clients together share a limit."""
    open_ = in_environment(runtime, cache, Environment.PRODUCTION, sign_up="OPEN", sign_ups_per_hour=5).admission
    for number in range(5):
        await sign_up(open_, f"192.0.2.{number}")
    with pytest.raises(RateLimited):
        await sign_up(open_, "192.0.2.99")


async def sign_up(admission: Admission, client: str) -> None:
    """Sign up as far as the hash of the password."""
    await registration.prepare_sign_up(
        admission,
        organization_name="Acme",
        email="ada@nudge.example",
        password=PASSWORD,
        full_name="Ada",
        client=client,
    )


@pytest.mark.usefixtures("cheap_hashes")
async def test_production_limits_the_failures_of_a_client_over_all_addresses(runtime: Runtime, cache: Redis) -> None:
    """Of log-ins with sixty addresses thirty are checked; other clients and other IPv6 networks are not limited."""
    limited = in_environment(runtime, cache, Environment.PRODUCTION)

    async def guess(client: str) -> type[Exception]:
        email = f"{uuid4().hex}@nudge.example"
        with pytest.raises((InvalidCredentials, RateLimited)) as excinfo:
            await account_credentials.check_credentials(
                limited.system, limited.admission, email=email, password="guess", client=client
            )
        return excinfo.type

    for network in ("192.0.2.1", "2001:db8::{}"):
        guesses = [await guess(network.format(number)) for number in range(60)]
        assert guesses == 30 * [InvalidCredentials] + 30 * [RateLimited]
    assert await guess("192.0.2.2") is InvalidCredentials
    assert await guess("2001:db8:0:1::1") is InvalidCredentials


@pytest.mark.usefixtures("cheap_hashes")
async def test_an_outage_does_not_count_as_failed_log_ins(runtime: Runtime, cache: Redis) -> None:
    """Log-ins that fail while the database is unavailable do not count when it is available again."""
    limited = in_environment(runtime, cache, Environment.PRODUCTION)
    nowhere = create_engine("postgresql+asyncpg://nobody@127.0.0.1:9/none", pool_size=1, statement_timeout_seconds=1)

    async def log_in(system: SystemScope) -> None:
        await account_credentials.check_credentials(
            system, limited.admission, email="ada@nudge.example", password=PASSWORD, client="192.0.2.1"
        )

    for _ in range(40):
        with pytest.raises(ConnectionRefusedError):
            await log_in(SystemScope(nowhere))
    await nowhere.dispose()
    with pytest.raises(InvalidCredentials):
        await log_in(limited.system)


@pytest.mark.usefixtures("cheap_hashes")
async def test_right_passwords_are_not_limited(runtime: Runtime, cache: Redis) -> None:
    """Forty log-ins of one user, concurrent and in sequence, all succeed in production."""
    limited = in_environment(runtime, cache, Environment.PRODUCTION)
    email = f"{uuid4().hex}@nudge.example"
    owner = Owner(organization_name="Acme", email=email, full_name="Ada", password=PASSWORD)
    await opening.open_organization(limited.work, limited.admission, owner, issuer=None)

    async def log_in() -> None:
        await account_credentials.check_credentials(
            limited.system, limited.admission, email=email, password=PASSWORD, client="192.0.2.1"
        )

    for _ in range(4):
        await asyncio.gather(*(log_in() for _ in range(10)))


@pytest.mark.usefixtures("cheap_hashes")
async def test_the_limits_in_development_are_out_of_reach(
    settings: Settings, cache: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one client, 150 concurrent sign-ups succeed, and as many log-ins of one user.

    On a busy machine they may wait longer for a connection to the database than the API allows.
    """
    monkeypatch.setattr("core.database.engine.CONNECT_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr("core.database.engine.POOL_TIMEOUT_SECONDS", WAIT_SECONDS)
    async with (
        running(settings) as runtime,
        api_under(in_environment(runtime, cache, Environment.DEVELOPMENT)) as api,
    ):
        inputs = [values() for _ in range(150)]
        replies = await asyncio.gather(*(api.send(SIGN_UP, each) for each in inputs))
        assert [reply.data["signUp"]["userErrors"] for reply in replies] == 150 * [[]]
        credentials = {"input": {name: inputs[0]["input"][name] for name in ("email", "password")}}
        replies = await asyncio.gather(*(api.send(LOG_IN, credentials) for _ in range(150)))
        assert [reply.data["logIn"]["userErrors"] for reply in replies] == 150 * [[]]


async def test_password_hashing_has_a_cost(api: ApiClient) -> None:
    """A log-in costs 250 points more than another mutation, so that one request cannot contain thirty of them."""
    one = 'a{}: logIn(input: {{email: "a@b.example", password: "x"}}) {{ expiresIn }}'
    reply = await api.send("mutation { " + one.format(1) + " }")
    assert reply.body["extensions"]["cost"]["requested"] == 261
    assert reply.body["extensions"]["cost"]["actual"] == 261
    many = await api.send("mutation { " + " ".join(one.format(number) for number in range(30)) + " }")
    assert many.codes == ["COST_EXCEEDED"]


class SlowHasher:
    """A hasher whose hashes wait until the test releases them."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running: list[str] = []

    def hash(self, _: str) -> str:
        """Wait, and record the thread's name."""
        self.running.append(threading.current_thread().name)
        self.go.wait(60)
        return "done"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowHasher]:
    hasher = SlowHasher()
    monkeypatch.setattr(passwords, "hasher", hasher)
    yield hasher
    hasher.go.set()


async def hash_password(turns: Passwords, client: str) -> str:
    """Wait for a turn and hash."""
    async with turns.slot(client):
        return await turns.hash(PASSWORD)


async def rate_limit_error(turns: Passwords, client: str) -> RateLimited:
    """The error when too many callers wait already."""
    with pytest.raises(RateLimited) as excinfo:
        await asyncio.wait_for(hash_password(turns, client), 5)
    return excinfo.value


async def until_running(hasher: SlowHasher, many: int) -> None:
    """Wait until so many hashes run."""
    async with asyncio.timeout(60):
        while len(hasher.running) < many:  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.01)


async def test_the_queue_for_hashes_is_bounded_in_total_and_per_client(slow: SlowHasher) -> None:
    """Two run in separate threads; four may wait, two per client; the next is refused immediately."""
    turns = Passwords(max_waiting=4, max_waiting_per_client=2)
    tasks = [asyncio.create_task(hash_password(turns, client)) for client in "aaaa"]
    await until_running(slow, 2)
    assert (await rate_limit_error(turns, "a")).retry_after > 0
    tasks += [asyncio.create_task(hash_password(turns, client)) for client in "bc"]
    await asyncio.sleep(0)
    await rate_limit_error(turns, "d")
    assert await asyncio.to_thread(lambda: "free") == "free"
    assert len(slow.running) == 2
    slow.go.set()
    assert await asyncio.gather(*tasks) == 6 * ["done"]
    assert all(name.startswith("passwords") for name in slow.running)
    assert await hash_password(turns, "a") == "done"
    assert not turns._waiting  # no client is counted or stored any more
    turns.close()


async def test_no_client_can_fill_the_queue_for_hashes_in_production(
    runtime: Runtime, cache: Redis, slow: SlowHasher
) -> None:
    """Besides the two that run, sixteen of one client and sixty-four of all clients may wait."""
    turns = in_environment(runtime, cache, Environment.PRODUCTION).admission.passwords
    tasks = [asyncio.create_task(hash_password(turns, "a")) for _ in range(2)]
    await until_running(slow, 2)
    for client in "abcd":
        tasks += [asyncio.create_task(hash_password(turns, client)) for _ in range(16)]
        await asyncio.sleep(0)
        await rate_limit_error(turns, client)
    await rate_limit_error(turns, "e")
    slow.go.set()
    assert await asyncio.gather(*tasks) == 66 * ["done"]
    turns.close()


async def test_a_cancelled_caller_keeps_its_slot_while_the_hash_runs(slow: SlowHasher) -> None:
    """Cancelling a running caller does not let a third hash run; cancelling a waiting one frees its place."""
    turns = Passwords(max_waiting=2, max_waiting_per_client=2)
    running = [asyncio.create_task(hash_password(turns, "a")) for _ in range(2)]
    await until_running(slow, 2)
    waiting = [asyncio.create_task(hash_password(turns, "b")) for _ in range(2)]
    await asyncio.sleep(0)
    running[0].cancel()
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    waiting[0] = asyncio.create_task(hash_password(turns, "b"))
    await asyncio.sleep(0)
    assert (len(slow.running), running[0].done()) == (2, False)
    slow.go.set()
    outcomes = await asyncio.gather(*running, *waiting, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == 3 * ["done"]
    turns.close()


async def test_an_operator_gets_all_errors_at_once(runtime: Runtime) -> None:
    """An invalid address and invalid names are reported together, and nothing is stored."""
    owner = Owner(organization_name=" ", email="nobody", full_name="", password="short")
    with pytest.raises(InputErrors) as excinfo:
        await opening.open_organization(runtime.work, runtime.admission, owner, issuer=None)
    assert [error.field[-1] for error in excinfo.value.errors] == [
        "email",
        "organizationName",
        "fullName",
        "password",
    ]
    assert not isinstance(excinfo.value.errors[0], SignUpClosed)
