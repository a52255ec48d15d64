"""Settings of sending."""

from pydantic import Field

from core.configuration import SettingsGroup


class SendingSettings(SettingsGroup):
    lease_seconds: float = Field(60.0, gt=0, description="Duration of a worker's lease on a batch, in seconds.")
    sweep_seconds: float = Field(5.0, gt=0, description="Seconds between two sweeps.")
    reconcile_grace_seconds: float = Field(
        900.0,
        ge=0,
        description="Seconds after which a message that the provider's search does not find counts as not sent.",
    )
    batch_size: int = Field(
        500,
        ge=1,
        description=(
            "Maximum number of messages in a request to the provider. The provider's own limit applies as well."
        ),
    )
    concurrent_batches: int = Field(
        3, ge=1, le=32, description="Number of batches that a worker process sends concurrently."
    )
