"""Creating an organization together with its owner."""

import re
import secrets
import unicodedata
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from core import email_addresses, texts
from core.access.actor import Actor, user_actor
from core.access.permissions import Role
from core.email_addresses import Address
from core.errors import ErrorCode, InputErrors, InvalidInput, NudgeError
from core.ids import new_id
from core.throttle import client_key
from core.unit_of_work import UnitOfWork
from models.accounts import Organization, User
from services import audit
from services.accounts.admission import Admission, count_sign_up, require_open

_MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 128
_MAX_NAME_LENGTH = 120
_OPERATOR = "operator"
_NO_PASSWORD = "!"  # noqa: S105 - no hash, so that no password matches it


class AddressTaken(InvalidInput):
    """An account with this address exists already."""

    code = ErrorCode.TAKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """A validated organization and owner. `password_hash` is None for a user of an external issuer."""

    organization_id: UUID
    user_id: UUID
    organization_name: str
    full_name: str
    address: Address
    password_hash: str | None

    @property
    def owner(self) -> Actor:
        """The owner, as the actor who stores the account."""
        return user_actor(self.organization_id, self.user_id, Role.OWNER)


async def prepare_sign_up(
    admission: Admission, *, organization_name: str, email: str, password: str, full_name: str, client: str
) -> NewAccount:
    """Validate a sign-up and hash the password; needs no transaction.

    Raises `SignUpClosed`, `InputErrors` with all invalid values, or `RateLimited`.
    """
    require_open(admission)
    address = check_account(organization_name, email, password, full_name)
    async with admission.passwords.slot(client_key(client)):
        await count_sign_up(admission, client)
        password_hash = await admission.passwords.hash(password)
    return _new_account(organization_name, full_name, address, password_hash)


async def prepare_account(
    admission: Admission, *, organization_name: str, email: str, password: str, full_name: str
) -> NewAccount:
    """Validate an account that the operator creates, and hash the password; raises `InputErrors`."""
    address = check_account(organization_name, email, password, full_name)
    async with admission.passwords.slot(_OPERATOR):
        password_hash = await admission.passwords.hash(password)
    return _new_account(organization_name, full_name, address, password_hash)


def prepare_foreign_account(*, organization_name: str, email: str, full_name: str, user_id: UUID) -> NewAccount:
    """Validate an account whose owner logs in as `user_id` at `NUDGE_AUTH__ISSUER`; raises `InputErrors`."""
    address = check_account(organization_name, email, None, full_name)
    return replace(_new_account(organization_name, full_name, address, None), user_id=user_id)


def _new_account(organization_name: str, full_name: str, address: Address, password_hash: str | None) -> NewAccount:
    """The account, with new ids, from validated values."""
    return NewAccount(
        organization_id=new_id(),
        user_id=new_id(),
        organization_name=texts.clean_line(
            organization_name, field=("input", "organizationName"), max_length=_MAX_NAME_LENGTH
        ),
        full_name=texts.clean_line(full_name, field=("input", "fullName"), max_length=_MAX_NAME_LENGTH),
        address=address,
        password_hash=password_hash,
    )


def check_account(organization_name: str, email: str, password: str | None, full_name: str) -> Address:
    """The owner's address; raises `InputErrors` with all that is invalid."""
    problems: list[NudgeError] = []
    address = None
    try:
        address = email_addresses.parse(email)
    except NudgeError as error:
        problems.append(error)
    problems += _check_name(organization_name, "organizationName")
    problems += _check_name(full_name, "fullName")
    problems += _check_password(password, email) if password is not None else []
    if problems or address is None:
        raise InputErrors(problems)
    return address


def _check_name(name: str, field: str) -> list[NudgeError]:
    """Errors of a name: it must be one line of 1 to 120 visible characters."""
    path = ("input", field)
    try:
        cleaned = texts.clean_line(name, field=path, max_length=_MAX_NAME_LENGTH)
    except InvalidInput as error:
        return [error]
    return [] if cleaned else [InvalidInput("Must not be empty.", field=path, code=ErrorCode.REQUIRED)]


def _check_password(password: str, email: str) -> list[NudgeError]:
    """Errors of a password: only its length matters (NIST SP 800-63B), and it must not be the e-mail address."""
    path = ("input", "password")
    if len(password) < _MIN_PASSWORD_LENGTH:
        return [
            InvalidInput(
                f"At least {_MIN_PASSWORD_LENGTH} characters.",
                field=path,
                suggestion="Several random words make a good password.",
            )
        ]
    if not password.strip():
        return [
            InvalidInput("Must not be blank.", field=path, suggestion="Several random words make a good password.")
        ]
    if len(password) > MAX_PASSWORD_LENGTH:
        return [InvalidInput(f"At most {MAX_PASSWORD_LENGTH} characters.", field=path, code=ErrorCode.TOO_LONG)]
    if any(unicodedata.category(character) == "Cs" for character in password):
        return [InvalidInput("Must be valid Unicode text.", field=path)]
    if password.casefold() == email_addresses.strip_invisible(email).casefold():
        return [InvalidInput("Must differ from the e-mail address.", field=path)]
    return []


async def register(uow: UnitOfWork, account: NewAccount) -> None:
    """Store an organization and its owner, with an audit record; raises `AddressTaken`."""
    await uow.execute(
        insert(Organization).values(
            id=account.organization_id,
            name=account.organization_name,
            slug=_slug_of(account.organization_name),
        )
    )
    try:
        await uow.execute(
            insert(User).values(
                id=account.user_id,
                organization_id=account.organization_id,
                email=account.address.email,
                email_norm=account.address.norm,
                password_hash=account.password_hash or _NO_PASSWORD,
                full_name=account.full_name,
                role=Role.OWNER,
            )
        )
    except IntegrityError:
        raise AddressTaken(
            "An account with this e-mail address already exists.",
            field=("input", "email"),
            suggestion="Log in, or use another address.",
        ) from None
    await audit.record(uow, "organization.created", account.organization_id, {"name": account.organization_name})


def _slug_of(name: str) -> str:
    """A readable part of a URL with 40 random bits, which make it unique: `acme-inc-3fa9c1d07b`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return f"{words or 'organization'}-{secrets.token_hex(5)}"
