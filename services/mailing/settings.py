"""Settings of sending."""

from pydantic import Field

from core.configuration import Group


class SendingSettings(Group):
    lease_seconds: float = Field(60.0, gt=0, description="How long a worker may hold a claimed batch.")
    sweep_seconds: float = Field(5.0, gt=0, description="Interval of the sweeps.")
    reconcile_grace_seconds: float = Field(
        900.0,
        ge=0,
        description="How long the provider's search may miss a message before it counts as not sent.",
    )
    batch_size: int = Field(500, ge=1, description="Messages of one request; the provider's maximum applies as well.")
    concurrent_batches: int = Field(
        3, ge=1, le=32, description="Batches that a worker process sends at the same time."
    )
