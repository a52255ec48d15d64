"""Invisible padding is removed wherever a text is stored, and refused nowhere."""

import pytest

from core.errors import ErrorCode, InputErrors
from runtime import Runtime
from services import lists
from services.accounts.registration import _check_name, _new_account, check_account
from services.campaigns import drafting
from services.contacts import changing, listing
from services.messages.content import EMPTY, with_changes
from tests import factories

PADDED = "\u202aAda & Co\u202c\u200b"


async def test_contacts_lists_and_campaigns(runtime: Runtime) -> None:
    """Names, tags, fields, subjects and addresses are stored without padding."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        row = await changing.create(
            uow,
            {
                "email": "\u202aada@example.com\u202c",
                "first_name": PADDED,
                "last_name": f"\u2068{PADDED}\u2069",
                "tags": [PADDED],
                "custom_fields": {"phone": "\u202d+49 30 1\u202c", "more": ["\u2066x\u2069", "❤\ufe0f"]},
                "time_zone": "\u200eEurope/Berlin",
            },
        )
        contact_list = await lists.create(uow, PADDED, PADDED)
        campaign = await drafting.create(
            uow, {"name": PADDED, "subject": f"{PADDED} \u2068{{{{ contact.email }}}}\u2069!"}
        )
        tags = (await listing.tags_of(uow, [row.id]))[row.id]
    assert (row.email, row.first_name, row.last_name) == ("ada@example.com", "Ada & Co", "Ada & Co")
    assert (tags, row.time_zone) == (["Ada & Co"], "Europe/Berlin")
    assert row.custom_fields == {"phone": "+49 30 1", "more": ["x", "❤\ufe0f"]}
    assert (contact_list.name, contact_list.description, campaign.name) == ("Ada & Co",) * 3
    assert campaign.subject == "Ada & Co\u200b \u2068{{ contact.email }}\u2069!"


def test_subjects_of_templates_and_campaigns() -> None:
    """A new subject is cleaned; an omitted one stays unchanged."""
    old = {**EMPTY, "subject": "Old"}
    assert with_changes(old, {"subject": "\u202dNew\u202c"})["subject"] == "New"  # type: ignore[arg-type]
    assert with_changes(old, {"subject": None})["subject"] == ""  # type: ignore[arg-type]
    assert with_changes(old, {})["subject"] == "Old"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("\u202eEvil", ErrorCode.INVALID),
        ("a\x00b", ErrorCode.INVALID),
        ("\ud800", ErrorCode.INVALID),
        ("\u200b", ErrorCode.REQUIRED),
        (" \u2066\u2069\ufeff ", ErrorCode.REQUIRED),
        ("x" * 121, ErrorCode.TOO_LONG),
    ],
)
def test_names_at_sign_up_follow_the_same_rules(name: str, code: ErrorCode) -> None:
    """The names of an organization and its owner must be visible, like those of contacts."""
    assert [error.error_code for error in _check_name(name, "organizationName")] == [code]
    with pytest.raises(InputErrors):
        check_account(name, "ada@example.com", None, "Ada")


def test_names_at_sign_up_are_stored_clean() -> None:
    """Padding of names is removed at sign-up."""
    address = check_account(PADDED, "\ufeffada@example.com", None, PADDED)
    account = _new_account(PADDED, PADDED, address, None)
    assert (account.organization_name, account.full_name) == ("Ada & Co", "Ada & Co")
    assert account.address.email == "ada@example.com"
