"""How a worker sends."""

from pydantic import Field

from core.configuration import Group


class SendingSettings(Group):
    lease_seconds: float = Field(60.0, gt=0, description="How long a claimed batch is its worker's.")
    sweep_seconds: float = Field(5.0, gt=0, description="Between rounds of the sweeper.")
    reconcile_grace_seconds: float = Field(
        900.0, ge=0, description="How long the provider's search may lag before a message counts as absent."
    )
    batch_size: int = Field(500, ge=1, description="Messages in one request, at most what the provider takes.")
    concurrent_batches: int = Field(3, ge=1, le=32, description="Batches a worker process has in flight.")
