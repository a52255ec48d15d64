"""Every job is run by somebody, and what was lost is found again."""

import importlib
import pkgutil
from collections import Counter

import jobs
import services
from core.queue import Job, job_name


def test_every_job_has_a_handler() -> None:
    """Each `Job` of the services is declared in the `JOBS` of one noun, and each handler is for such a job."""
    for module in pkgutil.walk_packages(services.__path__, "services."):
        importlib.import_module(module.name)
    named = {job for job in Job.registry.values() if job.__module__.startswith("services.")}
    assert named
    assert Counter(handler.job for handler in jobs.JOBS) == Counter(named)


def test_every_noun_is_collected() -> None:
    """What a module of the room declares as `JOBS` or `SWEEPS` is what the worker runs."""
    modules = [importlib.import_module(module.name) for module in pkgutil.iter_modules(jobs.__path__, "jobs.")]
    for name, collected in (("JOBS", jobs.JOBS), ("SWEEPS", jobs.SWEEPS)):
        declared = [each for module in modules for each in getattr(module, name, ())]
        assert len(declared) == len(collected)
        assert all(each in collected for each in declared)


def test_names_are_told_apart() -> None:
    """Jobs are found by their names in the queue, and sweeps by theirs in locks and logs."""
    assert len({job_name(handler.job) for handler in jobs.JOBS}) == len(jobs.JOBS)
    assert len({sweep.name for sweep in jobs.SWEEPS}) == len(jobs.SWEEPS)
