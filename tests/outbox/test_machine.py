"""The invariants of system mail, under any order of steps: no message is sent twice, and none is lost."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.access.actor import Actor
from integrations.mail import BatchHeader, Stream
from models.outbox import OutboxStatus
from runtime import Runtime
from services.mailing.handover import RequestOutcome, hand_over
from services.mailing.leases import lease_times
from services.outbox.recording import record
from services.outbox.submitting import OutboxBatch, submit
from tests import factories
from tests.deliveries.model import OUTCOMES, ModelMailer
from tests.outbox.mailing import expire_all, outbox_of, put, reconcile_and_send, rows, statuses
from tests.properties import examples

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(OUTCOMES)),
        st.tuples(st.just("submit"), st.just("")),
        st.tuples(st.just("post"), st.sampled_from(OUTCOMES)),
        st.tuples(st.just("record"), st.just("")),
        st.tuples(st.just("expire"), st.just("")),
    ),
    max_size=12,
)


class World:
    """Three messages, a provider, and a worker that may crash at any step."""

    def __init__(self, runtime: Runtime, actor: Actor) -> None:
        self.runtime = runtime
        self.actor = actor
        self.mailer = ModelMailer()
        self.sender = outbox_of(runtime, self.mailer)
        self.submitted: list[OutboxBatch] = []
        self.posted: list[tuple[OutboxBatch, list[RequestOutcome]]] = []

    async def step(self, name: str, outcome: str) -> None:
        """A step of a worker, or of time."""
        self.mailer.outcome = outcome or "ok"
        if name == "send":
            await reconcile_and_send(self.sender, self.actor)
        elif name == "submit":
            async with self.runtime.work.begin(self.actor) as uow:
                self.submitted += await submit(uow, self.sender.composers, limit=2, lease_seconds=60) or []
        elif name == "post" and self.submitted:
            await self.post(self.submitted.pop(0))
        elif name == "record" and self.posted:
            batch, outcomes = self.posted.pop(0)
            async with self.runtime.work.begin(self.actor) as uow:
                await record(uow, batch, outcomes, request_seconds=0)
        elif name == "expire":
            # The leases of submitted batches have expired, so these must not be handed to the provider.
            self.submitted.clear()
            await expire_all(self.runtime, self.actor)

    async def post(self, batch: OutboxBatch) -> None:
        """Hand a batch to the provider."""
        header = BatchHeader(sender="a@b.example", batch_id=str(batch.batch_id), tag="t", stream=Stream.TRANSACTIONAL)
        times = lease_times(self.runtime.settings.sending.lease_seconds, request_seconds=15.0)
        outcomes = await hand_over(self.mailer, header, batch.messages, deadline=batch.deadline, times=times)
        self.posted.append((batch, outcomes))

    def check(self) -> None:
        """The invariants that hold at every moment."""
        counts = Counter(one.delivery_id for one in self.mailer.accepted)
        assert not [one for one, count in counts.items() if count > 1], "sent twice"


@pytest.mark.faults
@examples(15)
@given(steps=STEPS)
async def test_each_message_is_handed_over_once(runtime: Runtime, steps: list[tuple[str, str]]) -> None:
    """A worker crashes at any step, the provider gives any outcome: each message is accepted once, or refused."""
    actor = await factories.organization(runtime)
    ids = await put(runtime, actor, 3)
    world = World(runtime, actor)
    for name, outcome in steps:
        await world.step(name, outcome)
        world.check()
    for _ in range(6):
        await world.step("expire", "")
        await world.step("send", "ok")
    world.check()
    ends = await statuses(runtime, actor)
    assert set(ends) <= {OutboxStatus.ACCEPTED, OutboxStatus.FAILED}
    accepted = {one.delivery_id: one.message_id for one in world.mailer.accepted}
    for row in await rows(runtime, actor):
        assert (row.status == OutboxStatus.ACCEPTED) == (str(row.id) in accepted)
        assert row.message_id == accepted.get(str(row.id))
    assert {row.id for row in await rows(runtime, actor)} == set(ids)
