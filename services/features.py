"""Optional features: an installation without a feature's settings runs with the feature switched off."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.errors import ErrorCode, NudgeError


class Feature(StrEnum):
    """A feature that needs a vendor: the mail provider or the language model."""

    SENDING = "sending"
    MAYA = "maya"


_REFUSALS: Final = {
    Feature.SENDING: (
        "Sending is disabled in this installation.",
        "Ask the operator of the installation to set up a mail provider. Drafts can be written without one.",
    ),
    Feature.MAYA: (
        "Maya is disabled in this installation.",
        "Ask the operator of the installation to set up a language model.",
    ),
}


class FeatureUnavailable(NudgeError):
    """The feature is disabled in this installation."""

    code = ErrorCode.FEATURE_UNAVAILABLE

    def __init__(self, feature: Feature, *, field: tuple[str, ...] = ()) -> None:
        message, suggestion = _REFUSALS[feature]
        super().__init__(message, field=field, suggestion=suggestion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The features of an installation that are switched off."""

    off: frozenset[Feature] = frozenset()

    def require(self, feature: Feature, *, field: tuple[str, ...] = ()) -> None:
        """Raise `FeatureUnavailable` when the feature is off."""
        if feature in self.off:
            raise FeatureUnavailable(feature, field=field)


ALL: Final = Features()
