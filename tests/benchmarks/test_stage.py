"""What the benchmarks measure starts, in its production settings."""

import sys

import pytest

from benchmarks.stage import BATCH, add_campaign, add_contacts, api, stage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks pin processes to cores")


def test_the_api_under_measurement_answers() -> None:
    """An organisation signs up, and has the contacts and the campaign that the benchmarks add."""
    with stage() as on, api(on) as measured:
        add_contacts(measured, BATCH)
        add_campaign(measured)
        asked = "{ contacts(first: 1) { totalCount } campaigns(first: 1) { totalCount } }"
        assert measured.execute(asked, {}) == {"contacts": {"totalCount": BATCH}, "campaigns": {"totalCount": 1}}
