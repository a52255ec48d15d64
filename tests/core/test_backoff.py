"""One back-off: doubled with each failure, up to the longest, cut by up to a half; in Python and in SQL alike."""

import pytest
from sqlalchemy import Integer, literal, select

from cancellation.backoff import Backoff
from core.database import backoff
from runtime import Runtime

BACKOFF = Backoff(initial=2.0, maximum=20.0)
PAUSES = [(1, 2.0), (2, 4.0), (3, 8.0), (4, 16.0), (5, 20.0), (1_000_000, 20.0)]


@pytest.mark.parametrize(("failures", "longest"), PAUSES)
async def test_pauses_grow_up_to_the_longest(runtime: Runtime, failures: int, longest: float) -> None:
    """A row that counts its attempts waits as long as a process that counts its failures."""
    in_python = [BACKOFF.delay(failures) for _ in range(200)]
    async with runtime.engine.connect() as connection:
        pauses = [
            backoff.delay(BACKOFF, literal(failures, Integer)).label(f"pause_{number}") for number in range(200)
        ]
        in_sql = [float(pause) for pause in (await connection.execute(select(*pauses))).one()]
    for found in (in_python, in_sql):
        assert all(longest / 2 <= pause <= longest for pause in found)
        assert max(found) > 0.9 * longest
        assert min(found) < 0.6 * longest
