"""Settings of the processes that `nudge dev` starts in addition to the API."""

from pydantic import Field

from core.configuration import SettingsGroup
from core.setting_types import Port


class WorkerSettings(SettingsGroup):
    processes: int = Field(1, ge=1, le=64, description="Number of worker processes that `nudge dev` starts.")


class SandboxSettings(SettingsGroup):
    port: Port = Field(8025, description="Port of the vendor sandbox.")
    pace: float = Field(1.0, gt=0, description="Factor by which the sandbox's simulated delays are multiplied.")
