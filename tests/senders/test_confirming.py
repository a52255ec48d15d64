"""From `createSender` to the first campaign in production: nothing is sent before the address is confirmed."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import func, select, update

from core.access.actor import Actor
from core.access.permissions import Role
from core.security import fingerprint
from models.accounts import Organization, User
from models.audit import AuditEvent
from models.outbox import OutboxMessage
from models.senders import SenderConfirmation
from runtime import Runtime
from services.campaigns.listing import CAMPAIGNS
from tests import factories
from tests.campaigns.calls import TEST, VALIDATE, command, gid, mutate
from tests.client import ApiClient
from tests.conftest import Servers
from tests.senders.calls import CHOOSE, CONFIRM, CREATE, DELETE, LIST, create, list_senders, refusal
from tests.senders.conftest import Installation

FORM = {"content-type": "application/x-www-form-urlencoded"}


def address() -> str:
    """A new address."""
    return f"news-{uuid4().hex}@acme.example"


async def create_confirmed(
    installation: Installation, api: ApiClient, actor: Actor, email: str, name: str = "Acme"
) -> dict[str, Any]:
    """A sender that was created and confirmed."""
    await create(api, email, name)
    await installation.deliver(actor)
    payload = (await api.execute(CONFIRM, {"input": {"token": await installation.token(email)}}))["confirmSender"]
    assert payload["userErrors"] == []
    sender: dict[str, Any] = payload["sender"]
    return sender


async def test_production_sends_from_a_confirmed_sender(production: Installation) -> None:
    """Refused with the next step, confirmed by the button on the page of the mail's link, then used."""
    actor, api = await production.owner()
    await factories.contacts(production.runtime, actor, 1)
    campaign = gid(await factories.campaign(production.runtime, actor))
    assert await refusal(api, command("send"), campaignId=campaign) == (
        "SENDER_NOT_CONFIRMED",
        ["input", "campaignId"],
    )
    email = address()
    sender = await create(api, email, "Acme, Inc.")
    assert (sender["confirmedAt"], sender["isDefault"], sender["confirmationProblem"]) == (None, False, None)
    await production.deliver(actor)
    (mail,) = await production.mails(email)
    assert mail["From"] == production.runtime.settings.postmark.sender
    assert mail["MessageStream"] == "outbound"
    link = f"{production.base}/confirm-sender/{await production.token(email)}"
    for method in ("GET", "HEAD", "GET"):
        async with production.http.request(method, link) as answer:
            assert (answer.status, email in await answer.text()) == (200, method == "GET")
    assert (await list_senders(api))[email]["confirmedAt"] is None
    assert await refusal(api, command("send"), campaignId=campaign) == (
        "SENDER_NOT_CONFIRMED",
        ["input", "campaignId"],
    )
    async with production.http.post(link, data=b"", headers=FORM) as answer:
        assert (answer.status, email in await answer.text()) == (200, True)
    confirmed_sender = (await list_senders(api))[email]
    assert (confirmed_sender["confirmedAt"] is None, confirmed_sender["isDefault"]) == (False, True)
    sent = await mutate(api, command("send"), campaignId=campaign)
    assert sent["campaign"]["status"] == "PREPARING"


async def test_the_page_is_like_the_unsubscribe_page(production: Installation) -> None:
    """No script, cookie or referrer; names are escaped; it shows who asked, and what happens without an answer."""
    actor, api = await production.owner()
    async with production.runtime.work.begin(actor) as uow:
        await uow.execute(update(Organization).values(name='<b onclick="x()">Acme</b> & Co'))
        await uow.execute(update(User).values(full_name="Ada <i>Lovelace</i>"))
    email = address()
    await create(api, email)
    await production.deliver(actor)
    async with production.http.get(f"{production.base}/confirm-sender/{await production.token(email)}") as answer:
        page = await answer.text()
        headers = answer.headers
    assert "Ada &lt;i&gt;Lovelace&lt;/i&gt; of &lt;b onclick=" in page
    assert "<script" not in page
    assert "<b onclick" not in page
    assert 'method="post"' in page
    assert "close this page" in page
    assert "set-cookie" not in headers
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-robots-tag"] == "noindex, nofollow"


async def test_the_mail_shows_who_asked_and_what_happens_if_ignored(production: Installation) -> None:
    """Names of other people make neither links nor HTML in a mail of the installation."""
    actor, api = await production.owner()
    async with production.runtime.work.begin(actor) as uow:
        await uow.execute(update(Organization).values(name="Win <b>now</b> https://evil.example " + "x" * 80))
        await uow.execute(update(User).values(full_name="Click www.evil.example or me@evil.example, Inc."))
    email = address()
    await create(api, email)
    await production.deliver(actor)
    (mail,) = await production.mails(email)
    for part in (str(mail["TextBody"]), str(mail["HtmlBody"])):
        assert f"asks for permission to send e-mail from {email}" in part
        assert "ignore it" in part
        assert "https://evil" not in part
        assert "evil.example" not in part
        assert "www.evil" not in part
        assert "Inc. of" in part
        assert "x" * 61 not in part
    assert "<b>" not in str(mail["HtmlBody"])
    assert "Win" not in str(mail["Subject"])


async def test_a_token_is_only_stored_as_a_hash(production: Installation, servers: Servers) -> None:
    """The database has its fingerprint; no row of any table has the token or the text of the mail."""
    actor, api = await production.owner()
    email = address()
    await create(api, email)
    await production.deliver(actor)
    token = await production.token(email)
    url = production.runtime.settings.database.url
    assert url is not None
    database = url.get_secret_value().rpartition("/")[2]
    admin = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
    try:
        tables = await admin.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables_with_token = [
            table
            for (table,) in tables
            if await admin.fetchval(f"SELECT count(*) FROM {table} t WHERE t::text LIKE $1", f"%{token}%")  # noqa: S608
        ]
        stored_hashes = await admin.fetchval(
            "SELECT count(*) FROM sender_confirmations WHERE fingerprint = $1", fingerprint(token)
        )
    finally:
        await admin.close()
    assert (len(tables) > 15, tables_with_token, stored_hashes) == (True, [], 1)


async def test_a_token_confirms_once(production: Installation) -> None:
    """By the page or by `confirmSender`, of any of the mails; afterwards no token of the sender is valid."""
    actor, api = await production.owner()
    email = address()
    await create(api, email)
    await production.deliver(actor)
    first = await production.token(email)
    await send_again(production, actor, api, email)
    second = await production.token(email)
    assert first != second
    outcomes = await asyncio.gather(*(confirm(api, first) for _ in range(4)))
    assert sorted(outcomes) == [False, False, False, True]
    for token in (first, second):
        assert await refusal(api, CONFIRM, token=token) == ("INVALID", ["input", "token"])
        for method in ("GET", "POST"):
            async with production.http.request(method, f"{production.base}/confirm-sender/{token}") as answer:
                assert answer.status == 404
                assert email not in await answer.text()


async def confirm(api: ApiClient, token: str) -> bool:
    """Whether the token confirmed its sender."""
    payload = (await api.execute(CONFIRM, {"input": {"token": token}}))["confirmSender"]
    return payload["sender"] is not None


async def send_again(installation: Installation, actor: Actor, api: ApiClient, email: str) -> None:
    """Send another confirmation, a minute later."""
    await pass_minutes(installation.runtime, actor, 2)
    await create(api, email)
    await installation.deliver(actor)


async def test_make_default_is_kept_for_later_confirmations(production: Installation) -> None:
    """`makeDefault` counts until the sender is confirmed, by any of the mails."""
    actor, api = await production.owner()
    first, second = address(), address()
    await create_confirmed(production, api, actor, first)
    await create(api, second, makeDefault=True)
    await production.deliver(actor)
    await send_again(production, actor, api, second)
    assert await confirm(api, await production.token(second))
    assert [email for email, sender in (await list_senders(api)).items() if sender["isDefault"]] == [second]


async def pass_minutes(runtime: Runtime, actor: Actor, minutes: int) -> None:
    """Make the organization's messages older."""
    older = OutboxMessage.created_at - timedelta(minutes=minutes)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(OutboxMessage).values(created_at=older))


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 10_000, "ä" * 43, "a\x00b", "%2e%2e"])
async def test_an_invalid_token_confirms_nothing(production: Installation, token: str) -> None:
    """The answer is the same as to a used token."""
    _, api = await production.owner()
    assert await refusal(api, CONFIRM, token=token) == ("INVALID", ["input", "token"])


async def test_a_token_expires(production: Installation) -> None:
    """After three days neither the page nor the mutation accepts it."""
    actor, api = await production.owner()
    email = address()
    await create(api, email)
    await production.deliver(actor)
    token = await production.token(email)
    left = SenderConfirmation.expires_at - func.now()
    days = (await production.runtime.reads(actor.tenant).rows(select(func.extract("epoch", left) / 86_400)))[0][0]
    assert 2.9 < days <= 3
    async with production.runtime.work.begin(actor) as uow:
        await uow.execute(update(SenderConfirmation).values(expires_at=func.now()))
    assert await refusal(api, CONFIRM, token=token) == ("INVALID", ["input", "token"])
    async with production.http.post(f"{production.base}/confirm-sender/{token}") as answer:
        assert answer.status == 404
    assert (await list_senders(api))[email]["confirmedAt"] is None


async def test_organizations_do_not_share_senders(production: Installation) -> None:
    """Each can have the same address; another's token is answered as an unknown one, and stays valid."""
    mine, api = await production.owner()
    other_actor, other_api = await production.owner()
    email = address()
    first = await create_confirmed(production, api, mine, email)
    second = await create(other_api, email.upper(), "Eve")
    assert (second["id"] == first["id"], second["confirmedAt"]) == (False, None)
    await production.deliver(other_actor)
    token = await production.token((await list_senders(other_api))[second["email"]]["email"])
    assert await refusal(api, CONFIRM, token=token) == await refusal(api, CONFIRM, token="unknown")
    assert await confirm(other_api, token)
    assert len(await list_senders(api)) == len(await list_senders(other_api)) == 1


async def test_confirmations_are_limited(production: Installation) -> None:
    """One a minute for an address, twenty a day for an organization, twenty a day for an address over all of them.

    Only those that are sent count.
    """
    actor, api = await production.owner()
    email = address()
    await create(api, email)
    for _ in range(3):
        assert await refusal(api, CREATE, email=email, name="Acme") == ("LIMIT_EXCEEDED", ["input", "email"])
    for _ in range(19):
        await create(api, address())
    assert await refusal(api, CREATE, email=address(), name="Acme") == ("LIMIT_EXCEEDED", ["input", "email"])
    await pass_minutes(production.runtime, actor, 24 * 60)
    await create(api, email)
    for _ in range(18):
        _, other = await production.owner()
        await create(other, email)
    _, other = await production.owner()
    reply = await other.send(CREATE, {"input": {"email": email.upper(), "name": "Acme"}})
    assert (reply.status, reply.codes) == (429, ["RATE_LIMITED"])
    assert int(reply.headers["retry-after"]) > 3_600
    assert await list_senders(other) == {}
    await create(other, address())


async def test_development_requires_no_confirmation(development: Installation) -> None:
    """Campaigns are sent from the settings' address or from an unconfirmed sender; confirmations are sent as well."""
    actor, api = await development.owner()
    await factories.contacts(development.runtime, actor, 1)
    plain = gid(await factories.campaign(development.runtime, actor))
    assert (await mutate(api, command("send"), campaignId=plain))["campaign"]["status"] == "PREPARING"
    email = address()
    sender = await create(api, email)
    await create(api, email)
    campaign_of_sender = gid(await factories.campaign(development.runtime, actor))
    await mutate(api, CHOOSE, campaignId=campaign_of_sender, senderId=sender["id"])
    assert (await mutate(api, command("send"), campaignId=campaign_of_sender))["campaign"]["status"] == "PREPARING"
    await development.deliver(actor)
    assert len(await development.mails(email)) == 2


async def test_in_development_the_first_sender_is_the_default(development: Installation) -> None:
    """Campaigns without a sender use it until another is made the default, or one is confirmed."""
    actor, api = await development.owner()
    one, two, three = [address() for _ in range(3)]

    async def default() -> list[str]:
        return [email for email, sender in (await list_senders(api)).items() if sender["isDefault"]]

    assert (await create(api, one))["isDefault"]
    assert not (await create(api, two))["isDefault"]
    await factories.contacts(development.runtime, actor, 1)
    campaign_id = await factories.campaign(development.runtime, actor)
    await mutate(api, command("send"), campaignId=gid(campaign_id))
    row = await CAMPAIGNS.get(development.runtime.reads(actor.tenant), campaign_id)
    assert row is not None
    assert row.from_header == f"Acme <{one}>"
    default_sender = await create(api, two, makeDefault=True)
    assert (default_sender["isDefault"], default_sender["confirmedAt"], await default()) == (True, None, [two])
    await mutate(api, DELETE, senderId=default_sender["id"])
    assert await default() == [one]
    await create_confirmed(development, api, actor, three)
    assert await default() == [three]


async def test_validation_and_scheduling_check_the_sender(production: Installation) -> None:
    """Validation reports what `sendCampaign` would refuse, and names an unconfirmed sender."""
    actor, api = await production.owner()
    await factories.contacts(production.runtime, actor, 1)
    campaign = gid(await factories.campaign(production.runtime, actor))
    validation = (await api.execute(VALIDATE, {"id": campaign}))["validateCampaign"]
    assert [error["code"] for error in validation["errors"]] == ["SENDER_NOT_CONFIRMED"]
    assert "createSender" in validation["errors"][0]["suggestion"]
    soon = "2026-12-24T18:00:00Z"
    assert (await refusal(api, command("schedule"), campaignId=campaign, scheduledAt=soon))[
        0
    ] == "SENDER_NOT_CONFIRMED"
    email = address()
    sender = await create(api, email)
    await mutate(api, CHOOSE, campaignId=campaign, senderId=sender["id"])
    validation = (await api.execute(VALIDATE, {"id": campaign}))["validateCampaign"]
    assert email in validation["errors"][0]["message"]


async def test_test_messages_go_to_known_people(production: Installation) -> None:
    """In production a test needs a confirmed sender, and goes to members and confirmed senders, 200 a day."""
    actor, api = await production.owner()
    campaign = gid(await factories.campaign(production.runtime, actor))
    member = (await api.execute("{ viewer { email } }"))["viewer"]["email"]
    assert (await refusal(api, TEST, campaignId=campaign, to=[member]))[0] == "SENDER_NOT_CONFIRMED"
    email = address()
    await create_confirmed(production, api, actor, email)
    assert await refusal(api, TEST, campaignId=campaign, to=[member, "a@example.com"]) == (
        "INVALID",
        ["input", "to", "1"],
    )
    sent = await mutate(api, TEST, campaignId=campaign, to=[member.upper(), email])
    assert len(sent["sentTo"]) == 2
    (mail,) = [one for one in await production.mails(email) if str(one["Subject"]).startswith("[Test]")]
    assert mail["From"] == f"Acme <{email}>"
    for _ in range(99):
        await mutate(api, TEST, campaignId=campaign, to=[member, email])
    reply = await api.send(TEST, {"input": {"campaignId": campaign, "to": [member]}})
    assert (reply.status, reply.codes) == (429, ["RATE_LIMITED"])


async def test_permissions_on_senders(production: Installation) -> None:
    """Owners and admins change senders, all members read them; changes are in the audit log."""
    for role in (Role.EDITOR, Role.VIEWER):
        _, api = await production.owner(role)
        for document, values in (
            (CREATE, {"email": address(), "name": "Acme"}),
            (CONFIRM, {"token": "x"}),
            (DELETE, {"senderId": "x"}),
        ):
            assert (await api.send(document, {"input": values})).codes == ["FORBIDDEN"]
        assert (await api.execute(LIST))["senders"] == {"totalCount": 0, "nodes": []}
    actor, api = await production.owner(Role.ADMIN)
    sender = await create_confirmed(production, api, actor, address())
    await api.execute(DELETE, {"input": {"senderId": sender["id"]}})
    events = await production.runtime.reads(actor.tenant).rows(
        select(AuditEvent.action, AuditEvent.user_id).order_by(AuditEvent.id)
    )
    assert [tuple(row) for row in events] == [
        (action, actor.user_id) for action in ("sender.created", "sender.confirmed", "sender.deleted")
    ]


async def test_a_sender_shows_why_its_confirmation_was_not_sent(production: Installation) -> None:
    """For an inactive address: the provider's text, until another confirmation was sent."""
    actor, api = await production.owner()
    email = address()
    await create(api, email)
    await production.provider.fail(item_error={"pattern": email, "error_code": 406, "message": "It bounced."})
    await production.deliver(actor)
    assert (await list_senders(api))[email]["confirmationProblem"] == "It bounced."
    await production.provider.fail()
    await send_again(production, actor, api, email)
    assert (await list_senders(api))[email]["confirmationProblem"] is None
