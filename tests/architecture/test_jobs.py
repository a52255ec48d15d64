"""The doorbell rings for somebody."""

import importlib
import pkgutil

import jobs
import services
from core.queue import Job


def test_every_job_has_a_worker_function() -> None:
    """Each `Job` of the services is run by the worker function of its name, and each function runs a job."""
    for module in pkgutil.walk_packages(services.__path__, "services."):
        importlib.import_module(module.name)
    named = {name for name, job in Job.registry.items() if job.__module__.startswith("services.")}
    assert named
    assert named == {function.__name__ for function in jobs.FUNCTIONS}
