"""What the jobs of a worker process share."""

from dataclasses import dataclass, field
from typing import Any

from core.settings import Settings
from jobs.errands import Errands
from runtime import Runtime
from services.deliveries.sending import Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """The runtime of a worker process, its sender, and the errands it runs."""

    runtime: Runtime
    sender: Sender
    errands: Errands = field(default_factory=Errands)

    @property
    def settings(self) -> Settings:
        """The process's settings."""
        return self.runtime.settings


def furnish(runtime: Runtime) -> Workshop:
    """A workshop for the runtime."""
    return Workshop(
        runtime=runtime,
        sender=Sender(
            settings=runtime.settings,
            work=runtime.work,
            system=runtime.system,
            reads=runtime.reads,
            mailer=runtime.mailer,
            signer=runtime.unsubscribe_signer,
        ),
    )


def workshop_of(context: dict[str, Any]) -> Workshop:
    """The workshop that a worker function's context carries."""
    found = context["workshop"]
    if not isinstance(found, Workshop):
        raise TypeError("no workshop in the job's context")
    return found
