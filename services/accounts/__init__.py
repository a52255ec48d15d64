"""People, their organisations and their log-ins."""

from services.accounts.credentials import InvalidCredentials, check_credentials
from services.accounts.identity import EmbeddedTokens, Identity, IssuerTokens, TokenCheck
from services.accounts.people import Person, people, person
from services.accounts.registration import AddressTaken, NewAccount, prepare_account, register
from services.accounts.sessions import (
    OpenSession,
    SessionGone,
    end_reused_session,
    end_session,
    find_refresh_token,
    open_session,
    rotate,
)
from services.accounts.standing import Standings
from services.accounts.throttle import Throttle

__all__ = [
    "AddressTaken",
    "EmbeddedTokens",
    "Identity",
    "InvalidCredentials",
    "IssuerTokens",
    "NewAccount",
    "OpenSession",
    "Person",
    "SessionGone",
    "Standings",
    "Throttle",
    "TokenCheck",
    "check_credentials",
    "end_reused_session",
    "end_session",
    "find_refresh_token",
    "open_session",
    "people",
    "person",
    "prepare_account",
    "register",
    "rotate",
]
