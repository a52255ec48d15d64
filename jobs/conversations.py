"""The job and the sweep of Maya's replies."""

from uuid import UUID

from core.database.scopes import SystemScope
from jobs.sweeper import PAGE, JobPage, sweep_jobs
from jobs.worker import Worker, handles
from runtime import Runtime
from services.conversations.work import RunReply
from services.maya import leases, running
from services.maya.running import RunDependencies


async def run_reply(worker: Worker, job: RunReply) -> None:
    """Generate one reply, within the timeout of the settings."""
    await running.run(run_dependencies(worker.runtime), job)


def run_dependencies(runtime: Runtime) -> RunDependencies:
    """The dependencies of a run, from the runtime."""
    return RunDependencies(
        work=runtime.work,
        reads=runtime.reads,
        logs=runtime.logs,
        hub=runtime.hub,
        model=runtime.language_model,
        models=runtime.settings.llm.models,
        public_url=runtime.settings.public_url,
        max_seconds=runtime.settings.llm.timeout_seconds,
    )


async def find_replies(system: SystemScope, after: UUID) -> JobPage:
    """A page of the jobs of replies that no worker is generating."""
    replies = await leases.open_replies(system, after, PAGE)
    return JobPage(replies, replies[-1].message_id if len(replies) == PAGE else None)


JOBS = (handles(RunReply, run_reply),)
SWEEPS = (sweep_jobs(find_replies, name="run replies"),)
