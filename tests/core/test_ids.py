"""Ids generated in a process: their order, their time, and the fields of RFC 9562."""

import time
from types import SimpleNamespace

import pytest

from core.ids import id_at, new_id

SECOND_NS = 1_000_000_000
MOMENT = 1_935_619_200_000
"""A Unix time in milliseconds."""


def milliseconds_of(value: int) -> int:
    """The Unix time in an id, in milliseconds."""
    return value >> 80


def test_ids_of_a_process_are_in_the_order_of_creation() -> None:
    """Even within a millisecond, the newest is the greatest."""
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_a_clock_that_is_set_back_a_little_does_not_break_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids continue from the last one until the clock has caught up."""
    before = new_id()
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() - 5 * SECOND_NS)
    assert before < new_id() < new_id()


def test_ids_follow_a_clock_that_was_wrong_by_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions and retention use the time in an id, so a wrong time must not persist in the following ids."""
    now = time.time_ns
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: now() + 3_600 * SECOND_NS)
        ahead = new_id()
    ids = [new_id() for _ in range(3)]
    assert ids == sorted(ids)
    assert milliseconds_of(ahead.int) - milliseconds_of(ids[0].int) > 3_500_000


def test_an_id_contains_its_time_of_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    """In milliseconds, as in version 7 of RFC 9562."""
    monkeypatch.setattr("core.ids.time", SimpleNamespace(time_ns=lambda: MOMENT * 1_000_000 + 999_999))
    value = new_id()
    assert milliseconds_of(value.int) == MOMENT
    assert (value.version, value.variant) == (7, "specified in RFC 4122")


def test_an_id_of_a_given_time_has_that_time() -> None:
    """`id_at` is for rows in the past: the time is as given, the ids differ."""
    values = [id_at(MOMENT) for _ in range(100)]
    assert {milliseconds_of(value.int) for value in values} == {MOMENT}
    assert {(value.version, value.variant) for value in values} == {(7, "specified in RFC 4122")}
    assert len(set(values)) == len(values)
