"""The invariants of sending, under every order of steps, deaths and late news that Hypothesis can think of."""

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
from tests.deliveries.world import PEOPLE, Held, World
from tests.properties import examples

T = TypeVar("T")
PLACES = st.integers(0, 5)


class SendingMachine(RuleBasedStateMachine):
    """Hypothesis chooses the steps; each runs in the session's loop."""

    runtime: Runtime
    loop: asyncio.AbstractEventLoop
    world: World

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Run a step in the loop that owns the connections."""
        return asyncio.run_coroutine_threadsafe(step, self.loop).result(60)

    def pick(self, place: int, *, submitted: bool, answered: bool) -> Held | None:
        """A batch in that stage."""
        found = [
            held
            for held in self.world.held
            if (held.messages is not None) is submitted and (held.outcomes is not None) is answered
        ]
        return found[place % len(found)] if found else None

    @initialize(on_doubt=st.sampled_from(OnDoubt))
    def begin(self, on_doubt: OnDoubt) -> None:
        """A campaign in `sending`."""
        self.world = self.run(World.make(self.runtime, on_doubt))

    @rule(most=st.integers(1, PEOPLE))
    def claim(self, most: int) -> None:
        """A worker claims."""
        self.run(self.world.claim(most))

    @rule(place=PLACES)
    def submit(self, place: int) -> None:
        """It passes the point of no return."""
        if held := self.pick(place, submitted=False, answered=False):
            self.run(self.world.submit(held))

    @rule(place=PLACES, outcome=st.sampled_from(OUTCOMES))
    def post(self, place: int, outcome: str) -> None:
        """It hands over."""
        if held := self.pick(place, submitted=True, answered=False):
            self.run(self.world.post(held, outcome))

    @rule(place=PLACES)
    def record(self, place: int) -> None:
        """It records the answer, however late."""
        if held := self.pick(place, submitted=True, answered=True):
            self.world.held.remove(held)
            self.run(self.world.record(held))

    @rule(most=st.integers(1, PEOPLE), outcome=st.sampled_from(OUTCOMES))
    def whole_batch(self, most: int, outcome: str) -> None:
        """A worker does all of a batch."""
        self.do_batch(most, outcome)

    def do_batch(self, most: int, outcome: str) -> None:
        """Claim, submit, post and record."""
        self.run(self.world.claim(most))
        if held := self.pick(-1, submitted=False, answered=False):
            self.run(self.world.submit(held))
            self.run(self.world.post(held, outcome))
            self.world.held.remove(held)
            self.run(self.world.record(held))

    @rule(place=PLACES)
    def kill(self, place: int) -> None:
        """A worker dies at whatever step."""
        if self.world.held:
            self.world.held.pop(place % len(self.world.held))

    @rule(expire=st.booleans(), search_fails=st.booleans())
    def sweep(self, expire: bool, search_fails: bool) -> None:
        """The sweeper comes, perhaps after all leases have ended."""
        if expire:
            self.run(self.world.expire())
        self.world.mailer.search_fails = search_fails
        self.run(self.world.sweep())
        self.world.mailer.search_fails = False

    @rule()
    def look_up(self) -> None:
        """Somebody asks about a batch in doubt."""
        self.run(self.world.look_up())

    @rule(doubted=st.booleans())
    def overlap(self, doubted: bool) -> None:
        """Several ask, perhaps of a fresh doubt, each when the one before was too slow; all say what they saw."""
        if doubted:
            self.do_batch(PEOPLE, "failed after")
        for _ in range(MAX_LOOKUPS):
            self.run(self.world.look_up())
            self.run(self.world.dawdle())
        while self.world.lookups:
            self.run(self.world.settle(*self.world.lookups.pop(0)))

    @rule(place=PLACES)
    def settle(self, place: int) -> None:
        """A lookup comes to its end, perhaps when others have looked since."""
        if lookups := self.world.lookups:
            self.run(self.world.settle(*lookups.pop(place % len(lookups))))

    @rule(to=st.sampled_from((CampaignStatus.PAUSED, CampaignStatus.SENDING)))
    def order(self, to: CampaignStatus) -> None:
        """Somebody pauses or resumes."""
        self.run(self.world.order(to))

    @rule(sure=st.integers(0, 4))
    def cancel(self, sure: int) -> None:
        """Somebody cancels, now and then."""
        if sure == 0:
            self.run(self.world.order(CampaignStatus.CANCELLING))

    @rule(place=PLACES, again=st.booleans())
    def resolve(self, place: int, again: bool) -> None:
        """A person decides about a message in doubt."""
        self.run(self.world.resolve(place, again=again))

    @rule(who=st.integers(0, PEOPLE - 1))
    def unsubscribe(self, who: int) -> None:
        """A recipient leaves."""
        self.run(self.world.leave(self.world.contacts[who]))

    @rule(
        place=PLACES,
        kind=st.sampled_from(("Delivery", "Open", "Click", "Bounce", "SpamComplaint")),
        times=st.integers(1, 2),
    )
    def hear(self, place: int, kind: str, times: int) -> None:
        """The provider tells of a message."""
        if ledger := self.world.mailer.ledger:
            self.run(self.world.hear(ledger[place % len(ledger)], kind, times))

    @invariant()
    def holds(self) -> None:
        """What holds at every moment."""
        if hasattr(self, "world"):
            self.run(self.world.check())

    def teardown(self) -> None:
        """Everything settles."""
        if hasattr(self, "world"):
            self.run(self.world.end())


async def explore(runtime: Runtime, chosen: settings) -> None:
    """Run the machine in a thread; its steps come back to this loop."""

    class Bound(SendingMachine):
        pass

    Bound.runtime, Bound.loop = runtime, asyncio.get_running_loop()
    await asyncio.to_thread(run_state_machine_as_test, Bound, settings=chosen)


@pytest.mark.faults
async def test_the_invariants_hold_in_every_order(runtime: Runtime) -> None:
    """One message each, nobody lost, nobody suppressed, counts that add up."""
    await explore(runtime, examples(6, long=500, steps=25))
