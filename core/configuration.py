"""What every group of settings is made of. Each group lives beside what it configures; `settings` composes them."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from core.errors import OperatorError

PREFIX = "NUDGE_"
DELIMITER = "__"


class Environment(StrEnum):
    """Where the process runs; only development and test may fill in secrets by themselves."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class Group(BaseModel):
    """Settings whose variables begin alike, e.g. `NUDGE_DATABASE__`."""

    model_config = ConfigDict(frozen=True)


class SettingsInvalid(OperatorError):
    """A setting is missing or does not fit; the message names the environment variable."""


def variable(*path: str) -> str:
    """The environment variable of a setting, e.g. `NUDGE_DATABASE__URL`."""
    return PREFIX + DELIMITER.join(part.upper() for part in path)
