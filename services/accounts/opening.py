"""Creating an organization with its owner as the operator, whether or not sign-up is open."""

from dataclasses import dataclass
from uuid import UUID

from core.errors import ErrorCode, InvalidInput
from core.security import new_secret
from core.unit_of_work import Work
from services.accounts.admission import Admission
from services.accounts.registration import NewAccount, prepare_account, prepare_foreign_account, register


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A new organization's name and owner. A `password` of None is generated; `user_id` is the external issuer's."""

    organization_name: str
    email: str
    full_name: str
    password: str | None = None
    user_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedOrganization:
    """The new account. The generated password is returned only here; a hash of it is stored."""

    account: NewAccount
    generated_password: str | None = None


async def open_organization(
    work: Work, admission: Admission, owner: Owner, *, issuer: str | None
) -> OpenedOrganization:
    """Store the organization and its owner; raises `InputErrors` or `AddressTaken`."""
    if issuer is not None:
        return await _open_for_issuer(work, owner, issuer)
    password = owner.password or new_secret()
    account = await prepare_account(
        admission,
        organization_name=owner.organization_name,
        email=owner.email,
        password=password,
        full_name=owner.full_name,
    )
    async with work.begin(account.owner) as uow:
        await register(uow, account)
    return OpenedOrganization(account=account, generated_password=None if owner.password else password)


async def _open_for_issuer(work: Work, owner: Owner, issuer: str) -> OpenedOrganization:
    """Create it for an owner who logs in at the external issuer."""
    if owner.user_id is None:
        raise InvalidInput(
            f"Accounts are managed by {issuer}, so the owner's id there is needed.",
            code=ErrorCode.REQUIRED,
            suggestion="Pass it with --user-id: it is the `sub` of the owner's access tokens.",
        )
    account = prepare_foreign_account(
        organization_name=owner.organization_name,
        email=owner.email,
        full_name=owner.full_name,
        user_id=owner.user_id,
    )
    async with work.begin(account.owner) as uow:
        await register(uow, account)
    return OpenedOrganization(account=account)
