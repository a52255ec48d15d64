"""Watching over sockets: those that come together are not looked after all at once."""

import time
from collections.abc import AsyncIterator

import pytest

from resolvers.endpoint.vigil import GAP_SPREAD_SECONDS, Vigil
from services.runtime import Runtime
from tests import factories
from tests.graphql.probe import with_settings
from tests.graphql.sockets import settles

CROWD = 40
PING_SECONDS, RECHECK_SECONDS = 1_000.0, 3_600.0
PATIENCE_SECONDS = 30


class Unseen:
    """A connection that nobody watches over but the test."""

    async def close(self, code: int, reason: str) -> None:
        """No vigil of these tests closes it."""
        raise AssertionError((code, reason))

    async def ping(self) -> None:
        """Nobody answers."""

    def press(self) -> None:
        """Nothing was cancelled."""


@pytest.fixture
async def crowd(runtime: Runtime) -> AsyncIterator[list[Vigil]]:
    """The vigils of many sockets of one person, opened at the same moment; none has begun to watch yet."""
    principal = await factories.organization(runtime)
    token = factories.token(runtime, principal)
    calm = with_settings(runtime, realtime={"ping_seconds": PING_SECONDS, "recheck_seconds": RECHECK_SECONDS})
    vigils = [Vigil(calm, principal, token=token, connection=Unseen()) for _ in range(CROWD)]
    yield vigils
    for vigil in vigils:
        await vigil.end()


def spread(moments: list[float]) -> float:
    """Seconds from the first to the last."""
    return max(moments) - min(moments)


async def test_a_crowd_is_not_pinged_and_looked_at_all_at_once(crowd: list[Vigil]) -> None:
    """First turns are spread over most of the usual time, and none comes later than that."""
    now = time.monotonic()
    pings, looks = [vigil.ping_at for vigil in crowd], [vigil.recheck_at for vigil in crowd]
    assert spread(pings) > PING_SECONDS / 3
    assert spread(looks) > RECHECK_SECONDS / 3
    assert now < min(pings) <= max(pings) <= now + PING_SECONDS
    assert now < min(looks) <= max(looks) <= now + RECHECK_SECONDS


async def test_a_crowd_is_not_looked_at_all_at_once_after_a_gap(crowd: list[Vigil]) -> None:
    """Where announcements may have been missed, as when they begin, each socket has its own turn within seconds."""
    before = [vigil.recheck_at for vigil in crowd]
    await settles(
        lambda: all(vigil.recheck_at != first for vigil, first in zip(crowd, before, strict=True)), PATIENCE_SECONDS
    )
    looks = [vigil.recheck_at for vigil in crowd]
    assert spread(looks) > GAP_SPREAD_SECONDS / 5
    assert min(looks) <= time.monotonic() + GAP_SPREAD_SECONDS
