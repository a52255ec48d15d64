"""The invariants of sending, under any order of steps, crashes and late events that Hypothesis generates."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from models.campaigns import CampaignStatus, OnDoubt
from runtime import Runtime
from services.mailing.lookups import MAX_LOOKUPS
from tests.deliveries.model import OUTCOMES
from tests.deliveries.world import PEOPLE, BatchInProgress, World
from tests.properties import examples

T = TypeVar("T")
INDEXES = st.integers(0, 5)


class SendingMachine(RuleBasedStateMachine):
    """Hypothesis chooses the steps; each runs in the session's event loop."""

    runtime: Runtime
    loop: asyncio.AbstractEventLoop
    world: World

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Run a step in the event loop that owns the connections."""
        return asyncio.run_coroutine_threadsafe(step, self.loop).result(60)

    def pick(self, index: int, *, submitted: bool, has_outcomes: bool) -> BatchInProgress | None:
        """A batch in that state."""
        batches = [
            batch
            for batch in self.world.batches
            if (batch.messages is not None) is submitted and (batch.outcomes is not None) is has_outcomes
        ]
        return batches[index % len(batches)] if batches else None

    @initialize(on_doubt=st.sampled_from(OnDoubt))
    def begin(self, on_doubt: OnDoubt) -> None:
        """Start with a campaign in `sending`."""
        self.world = self.run(World.make(self.runtime, on_doubt))

    @rule(limit=st.integers(1, PEOPLE))
    def claim(self, limit: int) -> None:
        """A worker claims a batch."""
        self.run(self.world.claim(limit))

    @rule(index=INDEXES)
    def submit(self, index: int) -> None:
        """A worker submits a batch."""
        if batch := self.pick(index, submitted=False, has_outcomes=False):
            self.run(self.world.submit(batch))

    @rule(index=INDEXES, outcome=st.sampled_from(OUTCOMES))
    def post(self, index: int, outcome: str) -> None:
        """A worker hands a batch to the provider."""
        if batch := self.pick(index, submitted=True, has_outcomes=False):
            self.run(self.world.post(batch, outcome))

    @rule(index=INDEXES)
    def record(self, index: int) -> None:
        """A worker records the outcome, however late."""
        if batch := self.pick(index, submitted=True, has_outcomes=True):
            self.world.batches.remove(batch)
            self.run(self.world.record(batch))

    @rule(limit=st.integers(1, PEOPLE), outcome=st.sampled_from(OUTCOMES))
    def whole_batch(self, limit: int, outcome: str) -> None:
        """A worker does all steps of a batch."""
        self.do_batch(limit, outcome)

    def do_batch(self, limit: int, outcome: str) -> None:
        """Claim, submit, hand over and record."""
        self.run(self.world.claim(limit))
        if batch := self.pick(-1, submitted=False, has_outcomes=False):
            self.run(self.world.submit(batch))
            self.run(self.world.post(batch, outcome))
            self.world.batches.remove(batch)
            self.run(self.world.record(batch))

    @rule(index=INDEXES)
    def kill(self, index: int) -> None:
        """A worker crashes at any step."""
        if self.world.batches:
            self.world.batches.pop(index % len(self.world.batches))

    @rule(expire=st.booleans(), search_fails=st.booleans())
    def sweep(self, expire: bool, search_fails: bool) -> None:
        """A sweep runs, perhaps after all leases have expired."""
        if expire:
            self.run(self.world.expire())
        self.world.mailer.search_fails = search_fails
        self.run(self.world.sweep())
        self.world.mailer.search_fails = False

    @rule()
    def look_up(self) -> None:
        """A worker looks up a batch in doubt."""
        self.run(self.world.look_up())

    @rule(new_doubt=st.booleans())
    def overlapping_lookups(self, new_doubt: bool) -> None:
        """Lookups that outlast their reservations overlap, perhaps of a new batch in doubt; all are recorded."""
        if new_doubt:
            self.do_batch(PEOPLE, "failed after")
        for _ in range(MAX_LOOKUPS):
            self.run(self.world.look_up())
            self.run(self.world.expire_reservations())
        while self.world.lookups:
            self.run(self.world.record_lookup(*self.world.lookups.pop(0)))

    @rule(index=INDEXES)
    def record_lookup(self, index: int) -> None:
        """A lookup is recorded, perhaps after others have started."""
        if lookups := self.world.lookups:
            self.run(self.world.record_lookup(*lookups.pop(index % len(lookups))))

    @rule(to=st.sampled_from((CampaignStatus.PAUSED, CampaignStatus.SENDING)))
    def change_status(self, to: CampaignStatus) -> None:
        """A user pauses or resumes the campaign."""
        self.run(self.world.change_status(to))

    @rule(sure=st.integers(0, 4))
    def cancel(self, sure: int) -> None:
        """A user cancels the campaign, in some runs."""
        if sure == 0:
            self.run(self.world.change_status(CampaignStatus.CANCELLING))

    @rule(index=INDEXES, again=st.booleans())
    def resolve(self, index: int, again: bool) -> None:
        """A user resolves a message in doubt."""
        self.run(self.world.resolve(index, again=again))

    @rule(who=st.integers(0, PEOPLE - 1))
    def unsubscribe(self, who: int) -> None:
        """A recipient unsubscribes."""
        self.run(self.world.unsubscribe(self.world.contacts[who]))

    @rule(
        index=INDEXES,
        kind=st.sampled_from(("Delivery", "Open", "Click", "Bounce", "SpamComplaint")),
        times=st.integers(1, 2),
    )
    def receive_webhook(self, index: int, kind: str, times: int) -> None:
        """The provider reports an event of a message."""
        if accepted := self.world.mailer.accepted:
            self.run(self.world.receive_webhook(accepted[index % len(accepted)], kind, times))

    @invariant()
    def invariants_hold(self) -> None:
        """The invariants that hold at every moment."""
        if hasattr(self, "world"):
            self.run(self.world.check())

    def teardown(self) -> None:
        """Finish everything, and check the invariants of the end."""
        if hasattr(self, "world"):
            self.run(self.world.end())


async def explore(runtime: Runtime, profile: settings) -> None:
    """Run the state machine in a thread; its steps run in this event loop."""

    class Bound(SendingMachine):
        pass

    Bound.runtime, Bound.loop = runtime, asyncio.get_running_loop()
    await asyncio.to_thread(run_state_machine_as_test, Bound, settings=profile)


@pytest.mark.faults
async def test_the_invariants_hold_in_every_order(runtime: Runtime) -> None:
    """One message per recipient, none lost, none to a suppressed address, and counters that add up."""
    await explore(runtime, examples(6, long=500, steps=25))
