"""Who gets in, and how often: sign-up modes, limits by client, and the price and the turns of password hashing."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from redis.asyncio import Redis
from sqlalchemy import func, update

from core import passwords
from core.access.actor import Actor, user_actor
from core.access.permissions import Role
from core.access.settings import AuthSettings, SignUpMode
from core.configuration import Environment
from core.database.engine import create_engine
from core.database.scopes import SystemScope
from core.errors import RateLimited, Refusals
from core.ids import new_id
from core.passwords import Passwords
from models.accounts import User
from runtime import Runtime
from services.accounts import credentials as account_credentials
from services.accounts import opening, registration
from services.accounts.admission import Admission, SignUpClosed, admission
from services.accounts.credentials import InvalidCredentials
from services.accounts.opening import Owner
from tests import factories
from tests.client import ApiClient
from tests.conftest import Servers
from tests.environments import fresh_cache, under
from tests.serving import served

PASSWORD = "correct horse"
SIGN_UP = """mutation ($input: SignUpInput!) { signUp(input: $input) {
    accessToken userErrors { code field message suggestion } } }"""
LOG_IN = "mutation ($input: LogInInput!) { logIn(input: $input) { accessToken userErrors { code } } }"


@pytest.fixture
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that take no time."""
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
async def cache(servers: Servers) -> AsyncIterator[Redis]:
    async with fresh_cache(servers) as redis:
        yield redis


@asynccontextmanager
async def api_under(runtime: Runtime) -> AsyncIterator[ApiClient]:
    """A server of the runtime."""
    async with served(runtime) as server:
        yield ApiClient(server.url)
    runtime.admission.passwords.close()


def values(email: str | None = None, password: str = PASSWORD) -> dict[str, Any]:
    """What somebody signs up with."""
    fresh = email or f"{uuid4().hex}@nudge.example"
    return {"input": {"organizationName": "Acme", "email": fresh, "password": password, "fullName": "Ada"}}


@pytest.mark.parametrize(
    ("environment", "given", "mode"),
    [
        (Environment.DEVELOPMENT, None, SignUpMode.OPEN),
        (Environment.TEST, None, SignUpMode.OPEN),
        (Environment.PRODUCTION, None, SignUpMode.CLOSED),
        (Environment.PRODUCTION, "open", SignUpMode.OPEN),
        (Environment.DEVELOPMENT, "CLOSED", SignUpMode.CLOSED),
    ],
)
def test_sign_up_is_closed_in_production_unless_said_otherwise(
    cache: Redis, environment: Environment, given: str | None, mode: SignUpMode
) -> None:
    """The default is the environment's; what is set wins, in any case."""
    found = admission(AuthSettings(sign_up=given), cache, production=environment is Environment.PRODUCTION)
    found.passwords.close()
    assert found.mode is mode


async def test_closed_sign_up_says_what_to_do_instead(runtime: Runtime, cache: Redis) -> None:
    """The answer is one refusal, whatever the values; the operator's own way stays open."""
    closed = under(runtime, cache, Environment.PRODUCTION)
    async with api_under(closed) as api:
        for given in (values(), values(email="nobody", password="x")):
            payload = (await api.execute(SIGN_UP, given))["signUp"]
            (error,) = payload["userErrors"]
            assert (payload["accessToken"], error["code"]) == (None, "SIGN_UP_CLOSED")
            assert "nudge organization create" in error["suggestion"]
        email = f"{uuid4().hex}@nudge.example"
        owner = Owner(organization_name="Acme", email=email, full_name="Ada", password=PASSWORD)
        await opening.open_organization(closed.work, closed.admission, owner, issuer=None)
        payload = (await api.execute(LOG_IN, {"input": {"email": email, "password": PASSWORD}}))["logIn"]
        assert payload["accessToken"] is not None


@pytest.mark.usefixtures("cheap_hashes")
async def test_production_limits_the_sign_ups_of_a_client(runtime: Runtime, cache: Redis) -> None:
    """The eleventh within an hour is 429 with Retry-After and stores nothing; what is not valid is not counted."""
    async with api_under(under(runtime, cache, Environment.PRODUCTION, sign_up="OPEN")) as api:
        for _ in range(20):
            await api.execute(SIGN_UP, values(password="short"))
        for _ in range(10):
            assert (await api.execute(SIGN_UP, values()))["signUp"]["userErrors"] == []
        refused = values()
        reply = await api.send(SIGN_UP, refused)
        assert (reply.status, reply.codes) == (429, ["RATE_LIMITED"])
        seconds = int(reply.headers["retry-after"])
        assert 3_000 < seconds <= 3_600
        assert reply.body["errors"][0]["extensions"]["retryAfter"] == seconds
        credentials = {"email": refused["input"]["email"], "password": PASSWORD}
        assert (await api.execute(LOG_IN, {"input": credentials}))["logIn"]["accessToken"] is None


@pytest.mark.usefixtures("cheap_hashes")
async def test_production_limits_the_sign_ups_of_all(runtime: Runtime, cache: Redis) -> None:
    """Clients in any number share a limit of their own."""
    open_ = under(runtime, cache, Environment.PRODUCTION, sign_up="OPEN", sign_ups_per_hour=5).admission
    for number in range(5):
        await sign_up(open_, f"192.0.2.{number}")
    with pytest.raises(RateLimited):
        await sign_up(open_, "192.0.2.99")


async def sign_up(admitted: Admission, client: str) -> None:
    """Get as far as the hash of a password."""
    await registration.prepare_sign_up(
        admitted,
        organization_name="Acme",
        email="ada@nudge.example",
        password=PASSWORD,
        full_name="Ada",
        client=client,
    )


@pytest.mark.usefixtures("cheap_hashes")
async def test_production_limits_the_failures_of_a_client_over_all_addresses(runtime: Runtime, cache: Redis) -> None:
    """Of sixty addresses from one client thirty are looked at; another client, and an IPv6 neighbour's, goes on."""
    limited = under(runtime, cache, Environment.PRODUCTION)

    async def guess(client: str) -> type[Exception]:
        email = f"{uuid4().hex}@nudge.example"
        with pytest.raises((InvalidCredentials, RateLimited)) as failed:
            await account_credentials.check_credentials(
                limited.system, limited.admission, email=email, password="guess", client=client
            )
        return failed.type

    for network in ("192.0.2.1", "2001:db8::{}"):
        guesses = [await guess(network.format(number)) for number in range(60)]
        assert guesses == 30 * [InvalidCredentials] + 30 * [RateLimited]
    assert await guess("192.0.2.2") is InvalidCredentials
    assert await guess("2001:db8:0:1::1") is InvalidCredentials


@pytest.mark.usefixtures("cheap_hashes")
async def test_an_outage_counts_against_nobody(runtime: Runtime, cache: Redis) -> None:
    """Whoever tries in vain while the database is away is looked at as soon as it is back."""
    limited = under(runtime, cache, Environment.PRODUCTION)
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
async def test_right_passwords_count_against_nobody(runtime: Runtime, cache: Redis) -> None:
    """Forty log-ins of one person, at once and one after another, all succeed in production."""
    limited = under(runtime, cache, Environment.PRODUCTION)
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
async def test_each_member_logs_in_with_their_own_password(runtime: Runtime, cache: Redis) -> None:
    """Of two in an organization neither gets in with the other's, nor when disabled; each has their own role."""
    limited = under(runtime, cache, Environment.DEVELOPMENT)
    owner = await factories.organization(runtime)
    viewer = user_actor(owner.organization_id, new_id(), Role.VIEWER)
    await factories.member(runtime, viewer)
    people = [(actor, f"{uuid4().hex}@nudge.example", f"correct {actor.rights.role}") for actor in (owner, viewer)]
    for actor, email, password in people:
        known = {"email": email, "email_norm": email, "password_hash": passwords.hasher.hash(password)}
        async with runtime.work.begin(owner) as uow:
            await uow.execute(update(User).where(User.id == actor.user_id).values(known))

    async def log_in(email: str, password: str) -> Actor:
        return await account_credentials.check_credentials(
            limited.system, limited.admission, email=email, password=password, client="192.0.2.1"
        )

    for actor, email, password in people:
        found = await log_in(email, password)
        assert (found.user_id, found.rights.role) == (actor.user_id, actor.rights.role)
    with pytest.raises(InvalidCredentials):
        await log_in(people[0][1], people[1][2])
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(User).where(User.id == viewer.user_id).values(disabled_at=func.now()))
    with pytest.raises(InvalidCredentials):
        await log_in(people[1][1], people[1][2])
    assert (await log_in(people[0][1], people[0][2])).user_id == owner.user_id


@pytest.mark.usefixtures("cheap_hashes")
@pytest.mark.parametrize("password", ["x" * 8, "y" * 128])
async def test_the_shortest_and_the_longest_password(runtime: Runtime, cache: Redis, password: str) -> None:
    """Passwords of 8 and of 128 characters, and names of 120, are taken; what is shorter or longer logs nobody in."""
    limited = under(runtime, cache, Environment.DEVELOPMENT)
    email = f"{uuid4().hex}@nudge.example"
    owner = Owner(organization_name="A" * 120, email=email, full_name="B" * 120, password=password)
    await opening.open_organization(limited.work, limited.admission, owner, issuer=None)
    for given, is_right in ((password, True), (password[:-1], False), (password + password[0], False)):
        with nullcontext() if is_right else pytest.raises(InvalidCredentials):
            await account_credentials.check_credentials(
                limited.system, limited.admission, email=email, password=given, client="192.0.2.1"
            )


def test_names_end_at_120_characters() -> None:
    """A longer one is TOO_LONG, at its field."""
    with pytest.raises(Refusals) as refused:
        registration.check_account("A" * 121, "ada@nudge.example", PASSWORD, "B" * 121)
    told = [(error.error_code, error.field) for error in refused.value.errors]
    assert told == [("TOO_LONG", ("input", name)) for name in ("organizationName", "fullName")]


@pytest.mark.usefixtures("cheap_hashes")
async def test_a_right_password_ends_the_count_of_wrong_ones(runtime: Runtime, cache: Redis) -> None:
    """Of one address and client; wrong ones for another address, or from another client, go on counting."""
    limited = under(runtime, cache, Environment.DEVELOPMENT, failed_logins=3)
    email, other = (f"{uuid4().hex}@nudge.example" for _ in range(2))
    owner = Owner(organization_name="Acme", email=email, full_name="Ada", password=PASSWORD)
    await opening.open_organization(limited.work, limited.admission, owner, issuer=None)

    async def outcome(password: str, address: str = email, client: str = "192.0.2.1") -> type[Exception] | None:
        try:
            await account_credentials.check_credentials(
                limited.system, limited.admission, email=address, password=password, client=client
            )
        except (InvalidCredentials, RateLimited) as error:
            return type(error)
        return None

    for address, client in ((other, "192.0.2.1"), (email, "192.0.2.2")):
        assert [await outcome("guess", address, client) for _ in range(3)] == 3 * [InvalidCredentials]
    for _ in range(2):
        assert [await outcome("guess") for _ in range(2)] == 2 * [InvalidCredentials]
        assert await outcome(PASSWORD) is None
    for address, client in ((other, "192.0.2.1"), (email.upper(), "192.0.2.2")):
        assert await outcome("guess", address, client) is RateLimited


@pytest.mark.usefixtures("cheap_hashes")
async def test_development_refuses_nobody_who_comes_two_a_second(runtime: Runtime, cache: Redis) -> None:
    """A hundred and fifty sign-ups at once from one address succeed, and as many log-ins of one of them."""
    async with api_under(under(runtime, cache, Environment.DEVELOPMENT)) as api:
        given = [values() for _ in range(150)]
        replies = await asyncio.gather(*(api.send(SIGN_UP, each) for each in given))
        assert [reply.data["signUp"]["userErrors"] for reply in replies] == 150 * [[]]
        credentials = {"input": {name: given[0]["input"][name] for name in ("email", "password")}}
        replies = await asyncio.gather(*(api.send(LOG_IN, credentials) for _ in range(150)))
        assert [reply.data["logIn"]["userErrors"] for reply in replies] == 150 * [[]]


async def test_hashing_has_a_price(api: ApiClient) -> None:
    """A log-in costs 250 points more than another mutation, so that one request does not hold thirty of them."""
    one = 'a{}: logIn(input: {{email: "a@b.example", password: "x"}}) {{ expiresIn }}'
    reply = await api.send("mutation { " + one.format(1) + " }")
    assert reply.body["extensions"]["cost"]["requested"] == 261
    assert reply.body["extensions"]["cost"]["actual"] == 261
    many = await api.send("mutation { " + " ".join(one.format(number) for number in range(30)) + " }")
    assert many.codes == ["COST_EXCEEDED"]


class SlowHasher:
    """Hashes that wait to be let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running: list[str] = []

    def hash(self, _: str) -> str:
        """Wait, and name the thread."""
        self.running.append(threading.current_thread().name)
        self.go.wait(60)
        return "done"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowHasher]:
    hasher = SlowHasher()
    monkeypatch.setattr(passwords, "hasher", hasher)
    yield hasher
    hasher.go.set()


async def hashed(turns: Passwords, client: str) -> str:
    """Wait for a turn and hash."""
    async with turns.turn(client):
        return await turns.hash(PASSWORD)


async def refused_at_once(turns: Passwords, client: str) -> RateLimited:
    """The refusal of a client that finds too many waiting."""
    with pytest.raises(RateLimited) as refused:
        await asyncio.wait_for(hashed(turns, client), 5)
    return refused.value


async def until_running(hasher: SlowHasher, many: int) -> None:
    """Wait until so many hashes run."""
    async with asyncio.timeout(60):
        while len(hasher.running) < many:  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.01)


async def test_the_queue_for_hashes_is_bounded_and_shared_out(slow: SlowHasher) -> None:
    """Two run, in threads of their own; four may wait, two of one client; the next is refused at once."""
    turns = Passwords(max_waiting=4, max_waiting_per_client=2)
    tasks = [asyncio.create_task(hashed(turns, client)) for client in "aaaa"]
    await until_running(slow, 2)
    assert (await refused_at_once(turns, "a")).retry_after > 0
    tasks += [asyncio.create_task(hashed(turns, client)) for client in "bc"]
    await asyncio.sleep(0)
    await refused_at_once(turns, "d")
    assert await asyncio.to_thread(lambda: "free") == "free"
    assert len(slow.running) == 2
    slow.go.set()
    assert await asyncio.gather(*tasks) == 6 * ["done"]
    assert all(name.startswith("passwords") for name in slow.running)
    assert await hashed(turns, "a") == "done"
    turns.close()


async def test_production_lets_no_client_fill_the_queue_for_hashes(
    runtime: Runtime, cache: Redis, slow: SlowHasher
) -> None:
    """Of one client sixteen wait beside the two that run, of all sixty-four."""
    turns = under(runtime, cache, Environment.PRODUCTION).admission.passwords
    tasks = [asyncio.create_task(hashed(turns, "a")) for _ in range(2)]
    await until_running(slow, 2)
    for client in "abcd":
        tasks += [asyncio.create_task(hashed(turns, client)) for _ in range(16)]
        await asyncio.sleep(0)
        await refused_at_once(turns, client)
    await refused_at_once(turns, "e")
    slow.go.set()
    assert await asyncio.gather(*tasks) == 66 * ["done"]
    turns.close()


async def test_who_gives_up_keeps_the_turn_while_the_hash_runs(slow: SlowHasher) -> None:
    """A caller that is cancelled does not let a third hash run beside two; one that waits leaves the queue."""
    turns = Passwords(max_waiting=2, max_waiting_per_client=2)
    running = [asyncio.create_task(hashed(turns, "a")) for _ in range(2)]
    await until_running(slow, 2)
    waiting = [asyncio.create_task(hashed(turns, "b")) for _ in range(2)]
    await asyncio.sleep(0)
    running[0].cancel()
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    waiting[0] = asyncio.create_task(hashed(turns, "b"))
    await asyncio.sleep(0)
    assert (len(slow.running), running[0].done()) == (2, False)
    slow.go.set()
    outcomes = await asyncio.gather(*running, *waiting, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == 3 * ["done"]
    turns.close()


async def test_an_operator_is_told_all_that_does_not_fit(runtime: Runtime) -> None:
    """A bad address and names come back together, and nothing is stored."""
    owner = Owner(organization_name=" ", email="nobody", full_name="", password="short")
    with pytest.raises(Refusals) as refused:
        await opening.open_organization(runtime.work, runtime.admission, owner, issuer=None)
    assert [error.field[-1] for error in refused.value.errors] == [
        "email",
        "organizationName",
        "fullName",
        "password",
    ]
    assert not isinstance(refused.value.errors[0], SignUpClosed)
