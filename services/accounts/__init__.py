"""People, their organisations and their log-ins."""

from services.accounts.admission import Admission, SignUpClosed, admission
from services.accounts.credentials import InvalidCredentials, check_credentials
from services.accounts.identity import EmbeddedTokens, Identity, IssuerTokens, TokenCheck
from services.accounts.logins import LoggedIn, Logins, log_in, log_out, log_out_by_token, refresh, sign_up
from services.accounts.opening import Opened, Owner, open_organization
from services.accounts.people import OrganizationRow, Person, organizations_by_ids, people_by_ids, person
from services.accounts.registration import (
    AddressTaken,
    NewAccount,
    prepare_account,
    prepare_foreign_account,
    prepare_sign_up,
    register,
)
from services.accounts.session_cache import SessionCache
from services.accounts.sessions import (
    OpenSession,
    SessionGone,
    end_reused_session,
    end_session,
    find_refresh_token,
    open_session,
    rotate,
)

__all__ = [
    "AddressTaken",
    "Admission",
    "EmbeddedTokens",
    "Identity",
    "InvalidCredentials",
    "IssuerTokens",
    "LoggedIn",
    "Logins",
    "NewAccount",
    "OpenSession",
    "Opened",
    "OrganizationRow",
    "Owner",
    "Person",
    "SessionCache",
    "SessionGone",
    "SignUpClosed",
    "TokenCheck",
    "admission",
    "check_credentials",
    "end_reused_session",
    "end_session",
    "find_refresh_token",
    "log_in",
    "log_out",
    "log_out_by_token",
    "open_organization",
    "open_session",
    "organizations_by_ids",
    "people_by_ids",
    "person",
    "prepare_account",
    "prepare_foreign_account",
    "prepare_sign_up",
    "refresh",
    "register",
    "rotate",
    "sign_up",
]
