"""Checking an e-mail address and a password."""

from dataclasses import dataclass

from sqlalchemy import Uuid, column, func, select

from core import email_addresses
from core.access.actor import Actor, user_actor
from core.access.permissions import Role
from core.access.tenant import Tenant
from core.database.engine import read_side
from core.database.scopes import ReadScope, SystemScope, first
from core.email_addresses import InvalidEmail
from core.errors import ErrorCode, NudgeError
from core.throttle import client_key
from models.accounts import User
from services.accounts.admission import Admission
from services.accounts.registration import MAX_PASSWORD_LENGTH


class InvalidCredentials(NudgeError):
    """No account has this address and password; which of the two is wrong stays unsaid."""

    code = ErrorCode.INVALID_CREDENTIALS


@dataclass(frozen=True, slots=True)
class Login:
    """What is stored of a person who may log in."""

    actor: Actor
    password_hash: str


async def check_credentials(
    system: SystemScope, admitted: Admission, *, email: str, password: str, client: str
) -> Actor:
    """The user of an address and password; takes equally long for an unknown address.

    Raises `InvalidCredentials`, or `RateLimited` after too many failures of this client, for this address or in all.
    """
    norm = normal(email)
    network = client_key(client)
    key = f"{norm or email}|{network}"
    async with admitted.passwords.slot(network):
        # Counted within the turn, and taken back in it: right passwords do not count against each other.
        await admitted.failures_of_client.count(network)
        await admitted.failures.count(key)
        try:
            login = await find_login(system, norm) if norm else None
        except Exception:
            # An outage of ours is nobody's failure: it must not keep people out when it is over.
            await admitted.failures.undo_count(key)
            await admitted.failures_of_client.undo_count(network)
            raise
        matches = await admitted.passwords.matches(
            password[: MAX_PASSWORD_LENGTH + 1], login.password_hash if login else None
        )
        if login is None or not matches:
            raise InvalidCredentials("The e-mail address or the password is wrong.")
        await admitted.failures.reset(key)
        await admitted.failures_of_client.undo_count(network)
    return login.actor


def normal(email: str) -> str | None:
    """The address as accounts are kept under it; None for what is no address, which nobody has an account under."""
    try:
        return email_addresses.parse(email).norm
    except InvalidEmail:
        return None


async def find_login(system: SystemScope, email_norm: str) -> Login | None:
    """The person behind an address, unless they are disabled."""
    known = func.system.user_for_login(email_norm).table_valued(
        column("organization_id", Uuid()), column("user_id", Uuid())
    )
    rows = await system.rows(select(known.c.organization_id, known.c.user_id))
    if not rows:
        return None
    organization_id, user_id = rows[0]
    found = await first(
        ReadScope(read_side(system.engine), Tenant(organization_id=organization_id, user_id=user_id)),
        select(User.password_hash, User.role).where(User.id == user_id, User.disabled_at.is_(None)),
    )
    if found is None:
        return None
    return Login(user_actor(organization_id, user_id, Role(found[1])), found[0])
