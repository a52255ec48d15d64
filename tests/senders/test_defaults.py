"""Which sender is the default, why a confirmation was not sent, and the limits that docs/senders.md promises."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, insert, select, update

from core.access.actor import Actor
from core.email_addresses import parse
from core.errors import Conflict, ErrorCode, NotFound
from core.ids import new_id
from core.security import fingerprint
from integrations.recording import RecordingMailer
from models.campaigns import Campaign, CampaignStatus
from models.outbox import OutboxKind, OutboxMessage, OutboxStatus
from models.senders import Sender, SenderConfirmation
from runtime import Runtime
from services.mailing.limits import DAY_SECONDS, mail_limits
from services.outbox.submitting import OutboxItem
from services.senders import changing, confirming, policy
from services.senders.policy import ChosenSender, SenderNotConfirmed, SenderPolicy, sender_policy
from services.senders.reading import confirmation_problems, get_default
from tests import factories

PRODUCTION = SenderPolicy(confirmed_only=True, fallback="", max_from_bytes=255, pause=timedelta(0), per_day=100)
DEVELOPMENT = SenderPolicy(confirmed_only=False, fallback="", max_from_bytes=255, pause=timedelta(0), per_day=100)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


async def default_of(runtime: Runtime, actor: Actor) -> UUID | None:
    """The organization's default sender."""
    default = await get_default(runtime.reads(actor.tenant))
    return None if default is None else default.id


async def confirmed_at(runtime: Runtime, actor: Actor, sender_id: UUID, at: datetime) -> None:
    """Set when a sender was confirmed."""
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Sender).where(Sender.id == sender_id).values(confirmed_at=at))


async def test_after_the_default_s_deletion_the_first_confirmed_is_the_default(runtime: Runtime) -> None:
    """Not the one that was added first; an unconfirmed one never is."""
    actor = await factories.organization(runtime)
    await factories.sender(runtime, actor, confirmed=False)
    added_first, confirmed_first, needless = [await factories.sender(runtime, actor) for _ in range(3)]
    default = await factories.sender(runtime, actor, default=True)
    await confirmed_at(runtime, actor, confirmed_first, LONG_AGO)
    for deleted, expected in ((needless, default), (default, confirmed_first), (confirmed_first, added_first)):
        async with runtime.work.begin(actor) as uow:
            await changing.delete(uow, PRODUCTION, deleted)
        assert await default_of(runtime, actor) == expected
    async with runtime.work.begin(actor) as uow:
        await changing.delete(uow, PRODUCTION, added_first)
    assert await default_of(runtime, actor) is None


async def test_make_default_counts_once(runtime: Runtime) -> None:
    """A sender that was the default, and is not any more, does not become it again when it is confirmed."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        wished = await changing.create(uow, DEVELOPMENT, parse("wished@acme.example"), "Acme", make_default=True)
    assert await default_of(runtime, actor) == wished.id
    other = await factories.sender(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        await changing.make_it_default(uow, other)
    token = await put_token(runtime, actor, wished.id)
    async with runtime.work.begin(actor) as uow:
        row = await confirming.confirm(uow, token)
    assert (row.id, row.confirmed_at is None, row.is_default) == (wished.id, False, False)
    assert await default_of(runtime, actor) == other


async def test_the_first_usable_sender_is_the_default(runtime: Runtime) -> None:
    """Without `makeDefault`; in production it is the first to be confirmed, and so none of these."""
    for rules, is_default in ((DEVELOPMENT, [True, False]), (PRODUCTION, [False, False])):
        actor = await factories.organization(runtime)
        senders = []
        for name in ("first", "second"):
            async with runtime.work.begin(actor) as uow:
                senders.append(await changing.create(uow, rules, parse(f"{name}@acme.example"), "Acme"))
        assert [row.is_default for row in senders] == is_default


async def put_token(runtime: Runtime, actor: Actor, sender_id: UUID) -> str:
    """A token that confirms a sender."""
    token = f"token-{new_id()}"
    confirmation = {"organization_id": actor.organization_id, "sender_id": sender_id}
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            insert(SenderConfirmation).values(
                fingerprint=fingerprint(token), expires_at=func.now() + timedelta(days=1), **confirmation
            )
        )
    return token


async def test_a_token_confirms_one_sender(runtime: Runtime) -> None:
    """All tokens of that sender are invalid then; those of another stay valid, and it is not confirmed."""
    actor = await factories.organization(runtime)
    mine, other = [await factories.sender(runtime, actor, confirmed=False) for _ in range(2)]
    first, second, others = [await put_token(runtime, actor, one) for one in (mine, mine, other)]
    async with runtime.work.begin(actor) as uow:
        assert (await confirming.confirm(uow, first)).id == mine
        rows = await uow.rows(select(Sender.id, Sender.confirmed_at.is_(None)))
        assert {tuple(row) for row in rows} == {(mine, False), (other, True)}
        for used in (first, second):
            with pytest.raises(confirming.TokenInvalid):
                await confirming.confirm(uow, used)
        assert (await confirming.confirm(uow, others)).id == other
    assert await default_of(runtime, actor) == mine


@pytest.mark.parametrize("confirmed", [False, True])
async def test_no_mail_is_composed_for_a_confirmed_sender(runtime: Runtime, *, confirmed: bool) -> None:
    """Nor is a token created, if the mail waited until the sender was confirmed."""
    actor = await factories.organization(runtime)
    sender_id = await factories.sender(runtime, actor, confirmed=confirmed)
    item = OutboxItem(new_id(), OutboxKind.SENDER_CONFIRMATION, sender_id, "a@example.com")
    async with runtime.work.begin(actor) as uow:
        mail = await confirming.compose_confirmation(uow, item, public_url="https://x.example")
        tokens = await uow.rows(select(SenderConfirmation.sender_id))
    assert (mail is None, [row.sender_id for row in tokens]) == (confirmed, [] if confirmed else [sender_id])


async def test_an_installation_without_an_address_needs_a_sender(runtime: Runtime) -> None:
    """Where no confirmation is required, the address of the settings is used, if there is one."""
    actor = await factories.organization(runtime)
    reads = runtime.reads(actor.tenant)
    with pytest.raises(SenderNotConfirmed) as excinfo:
        await policy.choose(reads, replace(DEVELOPMENT, fallback=" "), None)
    assert (excinfo.value.error_code, excinfo.value.field) == (
        ErrorCode.CAMPAIGN_NOT_SENDABLE,
        ("input", "campaignId"),
    )
    sender = await policy.choose(reads, replace(DEVELOPMENT, fallback="news@acme.example"), None)
    assert sender == ChosenSender(header="news@acme.example")


@pytest.mark.parametrize(("how_many", "others"), [(1, ""), (3, ""), (4, " and others")])
async def test_campaigns_that_use_a_sender_are_named(runtime: Runtime, how_many: int, others: str) -> None:
    """Three of them; not those of another sender, and not drafts."""
    actor = await factories.organization(runtime)
    mine, other = [await factories.sender(runtime, actor) for _ in range(2)]
    for number, sender_id in enumerate((*[mine] * how_many, other)):
        campaign_id = await factories.campaign(runtime, actor)
        values = {"name": f"Number {number}", "from_sender_id": sender_id, "status": CampaignStatus.SENDING}
        async with runtime.work.begin(actor) as uow:
            await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(**values))
    names = ", ".join(f"“Number {number}”" for number in range(min(how_many, 3)))
    async with runtime.work.begin(actor) as uow:
        with pytest.raises(changing.SenderInUse) as excinfo:
            await changing.delete(uow, PRODUCTION, mine)
    assert excinfo.value.message.endswith(f"use this sender: {names}{others}.")


async def test_a_deleted_sender_is_not_chosen(runtime: Runtime) -> None:
    """It is not found, or in conflict if it is deleted concurrently; no other sender is used instead."""
    actor = await factories.organization(runtime)
    await factories.sender(runtime, actor, default=True)
    async with runtime.work.begin(actor) as uow:
        with pytest.raises(NotFound) as excinfo:
            await policy.choose_and_lock(uow, PRODUCTION, new_id())
        assert excinfo.value.field == ("input", "campaignId")
        with pytest.raises(Conflict):
            await policy.lock_chosen(uow, ChosenSender(header="a@b.example", sender_id=new_id()))


async def test_the_problem_of_the_latest_confirmation(runtime: Runtime) -> None:
    """The provider's text, also while it is retried; of the sender's own mails, and the latest of them."""
    actor = await factories.organization(runtime)
    pending, failed, accepted = OutboxStatus.PENDING, OutboxStatus.FAILED, OutboxStatus.ACCEPTED
    mails: list[tuple[list[tuple[OutboxStatus, str | None]], str | None]] = [
        ([(failed, "It bounced.")], "It bounced."),
        ([(failed, None)], "The e-mail could not be sent in time."),
        ([(pending, "Slow down.")], "Slow down."),
        ([(pending, None)], None),
        ([(failed, "It bounced."), (accepted, None)], None),
        ([(accepted, None), (failed, "It bounced.")], "It bounced."),
        ([(failed, "It bounced."), (pending, None)], None),
        ([], None),
    ]
    expected: dict[UUID, str | None] = {}
    for some, problem in mails:
        sender_id = await factories.sender(runtime, actor, confirmed=False)
        expected[sender_id] = problem
        for minutes, (status, words) in enumerate(some):
            values = {"kind": OutboxKind.SENDER_CONFIRMATION, "email": "a@example.com", "status": status}
            at = func.now() + timedelta(minutes=minutes)
            async with runtime.work.begin(actor) as uow:
                await uow.execute(
                    insert(OutboxMessage).values(
                        id=new_id(),
                        organization_id=actor.organization_id,
                        target_id=sender_id,
                        error_message=words,
                        created_at=at,
                        expires_at=at,
                        **values,
                    )
                )
    assert await confirmation_problems(runtime.reads(actor.tenant), list(expected)) == expected


def test_production_has_the_limits_that_are_documented() -> None:
    """docs/senders.md has them; in development they are not reached."""
    page = " ".join((Path(__file__).parents[2] / "docs/senders.md").read_text(encoding="utf-8").split())
    redis = Redis.from_url("redis://127.0.0.1:9/0")
    limits = mail_limits(redis, production=True)
    rules = sender_policy(RecordingMailer(), production=True)
    assert limits.confirmations.seconds == limits.test_mails.seconds == DAY_SECONDS == 24 * 60 * 60
    assert rules.pause == timedelta(minutes=1)
    for promise in (
        f"one e-mail a minute per sender, {rules.per_day} a day per organization,",
        f"{limits.confirmations.limit} a day per address across all organizations.",
        f"An organization has at most {changing.MAX_SENDERS} senders.",
        f"only to members and confirmed senders of the organization, {limits.test_mails.limit} addresses a day,",
        f"A token works once and is valid for {'three' if changing.TOKEN_LIFETIME.days == 3 else '?'} days.",
    ):
        assert promise in page
    free = mail_limits(redis, production=False)
    assert min(free.confirmations.limit, free.test_mails.limit) >= 1_000_000
