"""Senders: the addresses that an organisation sends from, each confirmed by its own mailbox."""

from services.senders.addressing import from_header
from services.senders.changing import SenderInUse, check_sender, create, delete, needs_confirmation
from services.senders.confirming import (
    PATH,
    Request,
    TokenInvalid,
    compose_confirmation,
    confirm,
    find_confirmation,
    read_request,
)
from services.senders.policy import (
    From,
    SenderNotConfirmed,
    SenderPolicy,
    choose,
    choose_and_hold,
    hold,
    require_and_hold,
    sender_policy,
    settled,
)
from services.senders.reading import (
    SENDERS,
    SenderRow,
    confirmation_problems,
    confirmed_among,
    get_default,
)

__all__ = [
    "PATH",
    "SENDERS",
    "From",
    "Request",
    "SenderInUse",
    "SenderNotConfirmed",
    "SenderPolicy",
    "SenderRow",
    "TokenInvalid",
    "check_sender",
    "choose",
    "choose_and_hold",
    "compose_confirmation",
    "confirm",
    "confirmation_problems",
    "confirmed_among",
    "create",
    "delete",
    "find_confirmation",
    "from_header",
    "get_default",
    "hold",
    "needs_confirmation",
    "read_request",
    "require_and_hold",
    "sender_policy",
    "settled",
]
