from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EngagementRates:
    """Fractions of the addresses, 0 to 1; clicks and second opens are fractions of those that open."""

    hard_bounce: float = 0.01
    soft_bounce: float = 0.005
    complaint: float = 0.0005
    unsubscribe: float = 0.002
    open: float = 0.35
    second_open: float = 0.3
    click: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """The configuration of a sandbox.

    Without a `server_token` or `llm_api_key` any credential that is not empty is accepted. `pace` multiplies all
    simulated delays (0: no delays; 1: a minute of a vendor takes a second). `broadcast_streams` are the streams for
    bulk mail; the others are for transactional mail. `default_search_stream` is searched if a message search names no
    stream; None means all streams.
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
