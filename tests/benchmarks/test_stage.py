"""What the benchmarks measure starts, in its production settings."""

import os
import sys
from unittest.mock import patch

import pytest

from benchmarks import sweeping
from benchmarks.stage import BATCH, add_campaign, add_contacts, api, stage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks pin processes to cores")


def test_the_api_under_measurement_answers() -> None:
    """An organisation signs up, and has the contacts and the campaign that the benchmarks add."""
    with stage() as on, api(on) as measured:
        add_contacts(measured, BATCH)
        add_campaign(measured)
        asked = "{ contacts(first: 1) { totalCount } campaigns(first: 1) { totalCount } }"
        assert measured.execute(asked, {}) == {"contacts": {"totalCount": BATCH}, "campaigns": {"totalCount": 1}}


async def test_the_sweeps_under_measurement_do_their_work(capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty campaigns, one of each kind at least: what is due is done after a round, or the benchmark fails."""
    with patch.dict(os.environ):  # which the benchmark sets for its processes
        await sweeping.main(20, 1, 1)
    assert "20 live campaigns" in capsys.readouterr().out
