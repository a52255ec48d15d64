"""Jobs in the queue: which are run once for several."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from core.ids import new_id
from core.queue import Job, debounced


@dataclass(frozen=True, slots=True, kw_only=True)
class Often(Job):
    """A job that is enqueued many times a second."""

    debounce_seconds: ClassVar[float] = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Once(Job):
    """A job of which each is run."""


for name in ("often", "once"):
    del Job.registry[name]


def test_jobs_of_one_window_are_run_once_at_its_end() -> None:
    """The same ids share the queue's id and wait for the end of their window; the next window has another id."""
    job = Often(organization_id=new_id())
    first, second, later = (debounced(job, now) for now in (100.0, 100.4, 100.5))
    assert first[0] == second[0] != later[0]
    assert [wait for _, wait in (first, second, later)] == pytest.approx([0.5, 0.1, 0.5])
    assert debounced(Often(organization_id=new_id()), 100.0)[0] != first[0]


def test_other_jobs_are_each_run_at_once() -> None:
    """They have no id of the queue's own and wait for nothing."""
    assert debounced(Once(organization_id=new_id()), 100.0) == (None, 0.0)
