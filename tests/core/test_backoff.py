"""Back-off doubles with each failure, up to the maximum, minus up to a half; the same in Python and in SQL."""

import pytest
from sqlalchemy import Integer, literal, select

from cancellation.backoff import Backoff
from core.database import backoff
from runtime import Runtime

BACKOFF = Backoff(initial=2.0, maximum=20.0)
DELAYS = [(1, 2.0), (2, 4.0), (3, 8.0), (4, 16.0), (5, 20.0), (1_000_000, 20.0)]


@pytest.mark.parametrize(("failures", "longest"), DELAYS)
async def test_delays_grow_up_to_the_maximum(runtime: Runtime, failures: int, longest: float) -> None:
    """A row that counts its attempts waits as long as a process that counts its failures."""
    in_python = [BACKOFF.delay(failures) for _ in range(200)]
    async with runtime.engine.connect() as connection:
        delays = [
            backoff.delay(BACKOFF, literal(failures, Integer)).label(f"delay_{number}") for number in range(200)
        ]
        in_sql = [float(delay) for delay in (await connection.execute(select(*delays))).one()]
    for delays_of_one in (in_python, in_sql):
        assert all(longest / 2 <= delay <= longest for delay in delays_of_one)
        assert max(delays_of_one) > 0.9 * longest
        assert min(delays_of_one) < 0.6 * longest
