from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EngagementRates:
    """Shares of the addresses, 0 to 1; clicks and second opens are shares of the openers."""

    hard_bounce: float = 0.01
    soft_bounce: float = 0.005
    complaint: float = 0.0005
    unsubscribe: float = 0.002
    open: float = 0.35
    second_open: float = 0.3
    click: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """How the sandbox plays its vendors.

    An unset (or empty) `server_token` or `llm_api_key` accepts any credential that is not empty. `pace`
    multiplies every simulated delay (0 answers at once; 1 squeezes a vendor's minute into a second).
    `broadcast_streams` says which of the streams are for bulk mail; the others are for transactional mail.
    `default_search_stream` restricts a message search that names no stream; None searches them all.
    """

    server_token: str | None = None
    webhook_url: str | None = None
    webhook_username: str | None = None
    webhook_password: str | None = None
    ledger_path: Path | None = None
    llm_api_key: str | None = None
    pace: float = 1.0
    seed: int = 1
    rates: EngagementRates = field(default_factory=EngagementRates)
    message_streams: tuple[str, ...] = ("outbound", "broadcast")
    broadcast_streams: tuple[str, ...] = ("broadcast",)
    default_search_stream: str | None = None
