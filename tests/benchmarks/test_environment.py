"""The processes that the benchmarks measure start with production settings."""

import os
import sys
from unittest.mock import patch

import pytest

from benchmarks import sweeping
from benchmarks.environment import BATCH, add_campaign, add_contacts, start_api, start_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks pin processes to cores")


def test_measured_api() -> None:
    """An organization signs up, and has the contacts and the campaign that the benchmarks add."""
    with start_environment() as env, start_api(env) as api:
        add_contacts(api, BATCH)
        add_campaign(api)
        query = "{ contacts(first: 1) { totalCount } campaigns(first: 1) { totalCount } }"
        assert api.execute(query, {}) == {"contacts": {"totalCount": BATCH}, "campaigns": {"totalCount": 1}}


async def test_measured_sweeps(capsys: pytest.CaptureFixture[str]) -> None:
    """A round completes all due work of twenty campaigns with every kind; otherwise the benchmark fails."""
    with patch.dict(os.environ):  # the benchmark sets variables for its processes
        await sweeping.main(20, 1, 1)
    assert "20 active campaigns" in capsys.readouterr().out
