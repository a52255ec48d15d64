"""Functions for generated code, in addition to those of `values`; their results are the same as python-liquid's."""

from collections.abc import Mapping, Sequence

from liquid.exceptions import LoopIterationLimitError, ResourceLimitError

from services.rendering import values
from services.rendering.limits import MAX_ITERATIONS, MAX_WORK


def lookup(variables: Mapping[str, object], root: str, key: str) -> object:
    """The value at a path of two ordinary names, by far the most frequent kind."""
    try:
        return variables[root][key]  # type: ignore[index]  # whatever cannot be indexed is a missing variable
    except (KeyError, TypeError, IndexError):
        return None


def root_of(variables: Mapping[str, object], root: str) -> object:
    """The value of a variable itself."""
    return variables.get(root)


def follow(value: object, segments: tuple[str | int, ...]) -> object:
    """The value at the end of a path, with Liquid's own `size`, `first`, `last` and positions."""
    for segment in segments:
        value = value[segment] if type(value) is dict and segment in value else values.item_of(value, segment)
    return value


def plain_text(value: object) -> str:
    """A value as it appears in plain text."""
    return value if type(value) is str else values.printed(value)


def truthy(value: object) -> bool:
    """Whether a value is true in Liquid: everything except false and nil."""
    return value is not None and value is not False


def items(value: object) -> Sequence[object]:
    """The items of a `for` loop; raises `LoopIterationLimitError` if there are too many."""
    sequence = values.items(value)
    if len(sequence) > MAX_ITERATIONS:
        raise loop_limit_error()
    return sequence


def loop_limit_error() -> LoopIterationLimitError:
    """The error for loops that go through too many items, alone or nested."""
    return LoopIterationLimitError("loop iteration limit reached", token=None)


def work_limit_error() -> ResourceLimitError:
    """The error for a rendering that has reached its limit of work."""
    return ResourceLimitError(f"the template does more work than {MAX_WORK} characters", token=None)
