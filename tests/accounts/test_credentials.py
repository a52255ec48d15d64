"""Logging in: passwords of users, their length, and which failures are counted together."""

from contextlib import nullcontext
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, update

from core import passwords
from core.access.actor import Actor, user_actor
from core.access.permissions import Role
from core.configuration import Environment
from core.errors import InputErrors, RateLimited
from core.ids import new_id
from models.accounts import User
from runtime import Runtime
from services.accounts import credentials as account_credentials
from services.accounts import opening, registration
from services.accounts.credentials import InvalidCredentials
from services.accounts.opening import Owner
from tests import factories
from tests.environments import in_environment

PASSWORD = "correct horse"


@pytest.mark.usefixtures("cheap_hashes")
async def test_each_member_logs_in_with_their_own_password(runtime: Runtime, cache: Redis) -> None:
    """Of two users of an organization neither can use the other's password or log in while disabled."""
    limited = in_environment(runtime, cache, Environment.DEVELOPMENT)
    owner = await factories.organization(runtime)
    viewer = user_actor(owner.organization_id, new_id(), Role.VIEWER)
    await factories.member(runtime, viewer)
    people = [(actor, f"{uuid4().hex}@nudge.example", f"correct {actor.rights.role}") for actor in (owner, viewer)]
    for actor, email, password in people:
        columns = {"email": email, "email_norm": email, "password_hash": passwords.hasher.hash(password)}
        async with runtime.work.begin(owner) as uow:
            await uow.execute(update(User).where(User.id == actor.user_id).values(columns))

    async def log_in(email: str, password: str) -> Actor:
        return await account_credentials.check_credentials(
            limited.system, limited.admission, email=email, password=password, client="192.0.2.1"
        )

    for actor, email, password in people:
        session = await log_in(email, password)
        assert (session.user_id, session.rights.role) == (actor.user_id, actor.rights.role)
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
    """Passwords of 8 and of 128 characters, and names of 120, are accepted; a changed length does not log in."""
    limited = in_environment(runtime, cache, Environment.DEVELOPMENT)
    email = f"{uuid4().hex}@nudge.example"
    owner = Owner(organization_name="A" * 120, email=email, full_name="B" * 120, password=password)
    await opening.open_organization(limited.work, limited.admission, owner, issuer=None)
    for attempt, is_right in ((password, True), (password[:-1], False), (password + password[0], False)):
        with nullcontext() if is_right else pytest.raises(InvalidCredentials):
            await account_credentials.check_credentials(
                limited.system, limited.admission, email=email, password=attempt, client="192.0.2.1"
            )


def test_names_end_at_120_characters() -> None:
    """A longer one is TOO_LONG, at its field."""
    with pytest.raises(InputErrors) as excinfo:
        registration.check_account("A" * 121, "ada@nudge.example", PASSWORD, "B" * 121)
    errors = [(error.error_code, error.field) for error in excinfo.value.errors]
    assert errors == [("TOO_LONG", ("input", name)) for name in ("organizationName", "fullName")]


@pytest.mark.usefixtures("cheap_hashes")
async def test_a_right_password_resets_the_count_of_failures(runtime: Runtime, cache: Redis) -> None:
    """For its address and client; failures for other addresses and from other clients still count."""
    limited = in_environment(runtime, cache, Environment.DEVELOPMENT, failed_logins=3)
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
