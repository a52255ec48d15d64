"""The dependencies of jobs and sweeps in a worker process, and the declaration of jobs."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from core.queue import Job
from jobs.tasks import MAX_CONCURRENT, KeyedTasks, TaskKind
from runtime import Runtime
from services.deliveries.sending import CampaignSender
from services.features import Feature
from settings import Settings

J = TypeVar("J", bound=Job)
_JobFunction = Callable[["Worker", J], Coroutine[Any, Any, object] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHandler:
    """Which function runs a kind of job. Created by `handles`."""

    job: type[Job]
    run: _JobFunction[Any]
    max_concurrent: int


def handles(job: type[J], run: _JobFunction[J], *, max_concurrent: int = MAX_CONCURRENT) -> JobHandler:
    """Declare the function that runs a kind of job, for the `JOBS` of a module.

    A coroutine function runs in the background, at most once at a time for the same ids. A plain function runs at
    once, and must not block. Either is idempotent: a job may be delivered twice, and a sweep finds a lost one.

    At most `max_concurrent` of the kind run concurrently in a process. The number is small for jobs that only use the
    database: each takes a connection from the pool that the sending loops share.
    """
    return JobHandler(job=job, run=run, max_concurrent=max_concurrent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """The dependencies of a worker process: its runtime, its sender and its background tasks."""

    runtime: Runtime
    sender: CampaignSender
    handlers: Mapping[type[Job], JobHandler]
    tasks: KeyedTasks = field(default_factory=KeyedTasks)

    @property
    def settings(self) -> Settings:
        """The process's settings."""
        return self.runtime.settings

    @property
    def can_send(self) -> bool:
        """Whether a mail provider is configured."""
        return Feature.SENDING not in self.runtime.features.off

    def start(self, job: Job) -> None:
        """Run a job in this process; does not wait. If it is lost with the process, a sweep finds it again."""
        handler = self.handlers[type(job)]
        if iscoroutinefunction(handler.run):
            kind = TaskKind(job.name, handler.max_concurrent)
            self.tasks.start(job.key, partial(handler.run, self, job), kind=kind, ids=job.payload())
        else:
            handler.run(self, job)


def build_worker(runtime: Runtime, handlers: Iterable[JobHandler]) -> Worker:
    """Build the worker of a runtime with the handlers of jobs."""
    return Worker(
        runtime=runtime,
        handlers={handler.job: handler for handler in handlers},
        sender=CampaignSender(
            settings=runtime.settings.sending,
            public_url=runtime.settings.public_url,
            work=runtime.work,
            system=runtime.system,
            reads=runtime.reads,
            mailer=runtime.mailer,
            signer=runtime.unsubscribe_signer,
        ),
    )
