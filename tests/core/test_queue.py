"""Debouncing of jobs in the queue."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from core.ids import new_id
from core.queue import Job, debounced


@dataclass(frozen=True, slots=True, kw_only=True)
class Debounced(Job):
    """A job that is enqueued many times a second."""

    debounce_seconds: ClassVar[float] = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDebounced(Job):
    """A job that is run each time it is enqueued."""


for name in ("debounced", "not_debounced"):
    del Job.registry[name]


def test_jobs_of_one_window_are_run_once_at_its_end() -> None:
    """Equal jobs share an id of the queue and wait for the end of the window; the next window has another id."""
    job = Debounced(organization_id=new_id())
    first, second, later = (debounced(job, now) for now in (100.0, 100.4, 100.5))
    assert first[0] == second[0] != later[0]
    assert [wait for _, wait in (first, second, later)] == pytest.approx([0.5, 0.1, 0.5])
    assert debounced(Debounced(organization_id=new_id()), 100.0)[0] != first[0]


def test_other_jobs_are_each_run_at_once() -> None:
    """They get a new id and do not wait."""
    assert debounced(NotDebounced(organization_id=new_id()), 100.0) == (None, 0.0)
