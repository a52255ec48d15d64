"""The name of a sender, as its readers see it."""

from email import message_from_string, policy

import pytest

from tests import factories
from tests.campaigns.calls import TEST, gid, mutate
from tests.senders.calls import CREATE, list_senders
from tests.senders.conftest import Installation
from tests.senders.test_confirming import address, create_confirmed

NAMES = [
    "Acme",
    "Acme, Inc.",
    'The "Real" Acme',
    "back\\slash",
    'both \\" and \\\\',
    "Müller & Söhne",
    "Müller, Söhne (GmbH)",
    "日本語ニュース",
    "a@b; c: d <e>",
    "'quoted'",
    "Dr. No",
    "🎉 Party",
    "  two   words  ",
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_reaches_the_reader_as_it_was_written(production: Installation, name: str) -> None:
    """With any content, the standard library's parser finds one mailbox in the From header, with this name."""
    actor, api = await production.owner()
    email = address()
    await create_confirmed(production, api, actor, email, name)
    campaign_id = await factories.campaign(production.runtime, actor)
    await mutate(api, TEST, campaignId=gid(campaign_id), to=[email])
    (entry,) = await production.provider.messages(campaign_id)
    header = message_from_string(f"From: {entry['from_header']}\n\n", policy=policy.default)["from"]
    (mailbox,) = header.addresses
    assert (mailbox.display_name, mailbox.addr_spec) == (" ".join(name.split()), email)
    assert entry["sender"] == email


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Acme\r\nBcc: eve@example.com", "INVALID"),
        ("Acme\nX", "INVALID"),
        ("Acme\x00", "INVALID"),
        ("\u202eemcA", "INVALID"),
        ("=?utf-8?q?Acme=0D=0ABcc:?=", "INVALID"),
        ("=?UTF-8?B?QWNtZQ==?=", "INVALID"),
        (" \u200b ", "REQUIRED"),
        ("", "REQUIRED"),
        ("x" * 101, "TOO_LONG"),
        ("語" * 90, "TOO_LONG"),
    ],
)
async def test_invalid_names_are_refused(development: Installation, name: str, code: str) -> None:
    """Line breaks, control characters, encoded words, empty and too long names, each with a suggestion."""
    _, api = await development.owner()
    payload = (await api.execute(CREATE, {"input": {"email": address(), "name": name}}))["createSender"]
    assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [(code, ["input", "name"])]
    assert (await list_senders(api)) == {}
