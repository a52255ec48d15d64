"""Fault switches of the simulated vendors, each with an optional count, a number to skip, and a probability."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.streams import SWITCHES
from sandbox.wire import HttpError, JsonObject

Number = (int, float)
OptionTypes = dict[str, type | tuple[type, ...]]

KNOWN: dict[str, dict[str, OptionTypes]] = {
    "postmark": {
        "rate_limited": {"retry_after": int},
        "http_status": {"status": int, "error_code": int, "message": str},
        "server_error_before_accept": {},
        "server_error_after_accept": {},
        "stall_before_accept": {"seconds": Number},
        "stall_after_accept": {"seconds": Number},
        "cut_reply": {},
        "half_batch": {},
        "unreadable_reply": {},
        "item_error": {"pattern": str, "error_code": int, "message": str},
        "search_lag_seconds": {"seconds": Number},
        "search_error": {"status": int},
    },
    "webhooks": {
        "server_id_spelling": {},
        "missing_metadata": {},
        "missing_tag": {},
        "duplicate": {},
        "reorder": {"seconds": Number},
    },
    "llm": {
        "status": {"status": int, "message": str, "retry_after": int},
        "stall_before_first_token": {"seconds": Number},
        "mid_stream_error": {"after": int, "code": int, "message": str},
        "stall_mid_stream": {"after": int, "seconds": Number},
        "cut_stream": {"after": int},
        "slow_tokens": {"seconds": Number},
        "model_down": {"pattern": str},
        "script": {"turns": list, "repeat": bool},
    },
    "stream": {name: {} for name in SWITCHES},
}
SHORTHANDS: tuple[tuple[type, str], ...] = ((int, "seconds"), (float, "seconds"), (str, "pattern"), (list, "turns"))


@dataclass(slots=True, kw_only=True)
class Fault:
    """An active switch. `count` is how often the fault will still occur (None: without a limit)."""

    count: int | None = None
    skip: int = 0
    probability: float = 1.0
    options: JsonObject = field(default_factory=dict)
    fired: int = 0

    def number(self, name: str, default: float) -> float:
        """A numeric option."""
        value = self.options.get(name, default)
        return float(value) if isinstance(value, Number) else default

    def integer(self, name: str, default: int) -> int:
        """An integer option."""
        return int(self.number(name, default))

    def text(self, name: str, default: str) -> str:
        """A text option."""
        value = self.options.get(name, default)
        return value if isinstance(value, str) else default


class Faults:
    """The switches of one sandbox."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a repeatable simulation, not a secret
        self._active: dict[str, dict[str, Fault]] = {section: {} for section in KNOWN}

    def take(self, section: str, name: str) -> Fault | None:
        """The fault if it occurs now, which is counted; otherwise None."""
        fault = self._active[section].get(name)
        if fault is None or fault.count == 0:
            return None
        if fault.skip > 0:
            fault.skip -= 1
            return None
        if fault.probability < 1 and self._random.random() >= fault.probability:
            return None
        if fault.count is not None:
            fault.count -= 1
        fault.fired += 1
        return fault

    def peek(self, section: str, name: str) -> Fault | None:
        """The fault if its switch is active, without counting."""
        return self._active[section].get(name)

    def replace(self, document: Mapping[str, object]) -> None:
        """Replace the sections in the document; others stay. Raises a 400 for unknown names."""
        parsed = {section: _section(section, switches) for section, switches in document.items()}
        self._active.update(parsed)

    def clear(self) -> None:
        """Switch everything off."""
        self._active = {section: {} for section in KNOWN}

    def show(self) -> JsonObject:
        """The active faults, with their remaining counts and how often each occurred."""
        return {
            section: {name: _shown(fault) for name, fault in faults.items()}
            for section, faults in self._active.items()
        }


def every_switch() -> dict[str, list[str] | dict[str, str]]:
    """The names of all switches by section; those of `stream` with their descriptions."""
    return {**{section: sorted(names) for section, names in KNOWN.items()}, "stream": SWITCHES}


def _shown(fault: Fault) -> JsonObject:
    return {
        **fault.options,
        "count": fault.count,
        "skip": fault.skip,
        "probability": fault.probability,
        "fired": fault.fired,
    }


def _section(section: str, switches: object) -> dict[str, Fault]:
    options = KNOWN.get(section)
    if options is None:
        raise HttpError(400, {"error": f"unknown section {section!r}", "known": sorted(KNOWN)})
    if not isinstance(switches, dict):
        raise HttpError(400, {"error": f"{section} must be an object of switches"})
    faults: dict[str, Fault] = {}
    for name, value in switches.items():
        if name not in options:
            raise HttpError(400, {"error": f"unknown switch {section}.{name}", "known": every_switch()[section]})
        if value is not False and value is not None:
            faults[name] = _fault(f"{section}.{name}", value, options[name])
    return faults


def _fault(path: str, value: object, types: OptionTypes) -> Fault:
    options = _options_of(path, value)
    count = _typed(path, options.pop("count", None), "count", (int, type(None)))
    skip = _typed(path, options.pop("skip", 0), "skip", int)
    probability = _typed(path, options.pop("probability", 1.0), "probability", Number)
    for name, option in options.items():
        if name not in types:
            raise HttpError(400, {"error": f"unknown option {path}.{name}", "known": sorted(types)})
        _typed(path, option, name, types[name])
    return Fault(
        count=count if isinstance(count, int) else None,
        skip=skip if isinstance(skip, int) else 0,
        probability=float(probability) if isinstance(probability, Number) else 1.0,
        options=options,
    )


def _options_of(path: str, value: object) -> JsonObject:
    if value is True:
        return {}
    if isinstance(value, dict):
        return dict(value)
    for kind, option in SHORTHANDS:
        if isinstance(value, kind):
            return {option: value}
    raise HttpError(400, {"error": f"{path} must be an object, a number, a text, a list or true"})


def _typed(path: str, value: object, name: str, kind: type | tuple[type, ...]) -> object:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise HttpError(400, {"error": f"{path}.{name} has the wrong type"})
    return value
