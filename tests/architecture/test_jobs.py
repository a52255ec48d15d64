"""Every job has a handler, and jobs and sweeps are collected for the worker."""

import importlib
import pkgutil
from collections import Counter

import jobs
import services
from core.queue import Job, job_name


def test_every_job_has_a_handler() -> None:
    """Each `Job` of the services is in the `JOBS` of exactly one module, and each handler is for such a job."""
    for module in pkgutil.walk_packages(services.__path__, "services."):
        importlib.import_module(module.name)
    job_types = {job for job in Job.registry.values() if job.__module__.startswith("services.")}
    assert job_types
    assert Counter(handler.job for handler in jobs.JOBS) == Counter(job_types)


def test_every_module_is_collected() -> None:
    """The worker runs exactly the `JOBS` and `SWEEPS` that the modules of the room declare."""
    modules = [importlib.import_module(module.name) for module in pkgutil.iter_modules(jobs.__path__, "jobs.")]
    for name, collected in (("JOBS", jobs.JOBS), ("SWEEPS", jobs.SWEEPS)):
        declared = [each for module in modules for each in getattr(module, name, ())]
        assert len(declared) == len(collected)
        assert all(each in collected for each in declared)


def test_names_are_unique() -> None:
    """Jobs are identified by name in the queue, sweeps in locks and logs."""
    assert len({job_name(handler.job) for handler in jobs.JOBS}) == len(jobs.JOBS)
    assert len({sweep.name for sweep in jobs.SWEEPS}) == len(jobs.SWEEPS)
