"""The base of all groups of settings. Each group is defined next to the code it configures."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from core.errors import OperatorError

PREFIX = "NUDGE_"
DELIMITER = "__"


class Environment(StrEnum):
    """Where the process runs; missing secrets are generated in development and test only."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class SettingsGroup(BaseModel):
    """Settings whose variables have the same prefix, e.g. `NUDGE_DATABASE__`."""

    model_config = ConfigDict(frozen=True)


class InvalidSettings(OperatorError):
    """A setting is missing or invalid; the message names the environment variable."""


def variable(*path: str) -> str:
    """The environment variable of a setting, e.g. `NUDGE_DATABASE__URL`."""
    return PREFIX + DELIMITER.join(part.upper() for part in path)
