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
    """No account has this address and password. The message does not reveal which of the two is wrong."""

    code = ErrorCode.INVALID_CREDENTIALS


@dataclass(frozen=True, slots=True)
class Login:
    """A user who may log in, with the stored hash of their password."""

    actor: Actor
    password_hash: str


async def check_credentials(
    system: SystemScope, admission: Admission, *, email: str, password: str, client: str
) -> Actor:
    """The user of an address and password; takes as long for an unknown address.

    Raises `InvalidCredentials`, or `RateLimited` after too many failures of this client, for this address or at all.
    """
    norm = _normalized(email)
    network = client_key(client)
    key = f"{norm or email}|{network}"
    async with admission.passwords.slot(network):
        # Counted and undone while holding the slot, so that concurrent log-ins with the right password do not add up.
        await admission.failures_of_client.count(network)
        await admission.failures.count(key)
        try:
            login = await _find_login(system, norm) if norm else None
        except Exception:
            # An outage does not count as failed log-ins, so that users can log in once it is over.
            await admission.failures.undo_count(key)
            await admission.failures_of_client.undo_count(network)
            raise
        matches = await admission.passwords.matches(
            password[: MAX_PASSWORD_LENGTH + 1], login.password_hash if login else None
        )
        if login is None or not matches:
            raise InvalidCredentials("The e-mail address or the password is wrong.")
        await admission.failures.reset(key)
        await admission.failures_of_client.undo_count(network)
    return login.actor


def _normalized(email: str) -> str | None:
    """The address as it is stored for accounts; None for an invalid address, which has no account."""
    try:
        return email_addresses.parse(email).norm
    except InvalidEmail:
        return None


async def _find_login(system: SystemScope, email_norm: str) -> Login | None:
    """The user with this address, unless they are disabled."""
    users = func.system.user_for_login(email_norm).table_valued(
        column("organization_id", Uuid()), column("user_id", Uuid())
    )
    rows = await system.rows(select(users.c.organization_id, users.c.user_id))
    if not rows:
        return None
    organization_id, user_id = rows[0]
    row = await first(
        ReadScope(read_side(system.engine), Tenant(organization_id=organization_id, user_id=user_id)),
        select(User.password_hash, User.role).where(User.id == user_id, User.disabled_at.is_(None)),
    )
    if row is None:
        return None
    return Login(user_actor(organization_id, user_id, Role(row[1])), row[0])
