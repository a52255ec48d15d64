"""What generated code calls. Each function gives what python-liquid gives for the same values, faster."""

from collections.abc import Mapping, Sequence
from typing import Final

from liquid.builtin.expressions.logical import is_truthy
from liquid.exceptions import ResourceLimitError
from liquid.stringify import to_liquid_string
from liquid.undefined import Undefined
from markupsafe import Markup

from services.rendering.environment import PLAIN
from services.rendering.limits import MAX_ITERATIONS, MAX_WORK

MISSING: Final = Undefined("")
_CONTEXT: Final = PLAIN.template_class.context_class(PLAIN.from_string(""))


def lookup(variables: Mapping[str, object], root: str, key: str) -> object:
    """The value at a path of two ordinary names, by far the commonest."""
    try:
        return variables[root][key]  # type: ignore[index]  # whatever cannot be indexed is a missing variable
    except (KeyError, TypeError, IndexError):
        return MISSING


def root_of(variables: Mapping[str, object], root: str) -> object:
    """The value of a variable itself."""
    return variables.get(root, MISSING)


def follow(value: object, segments: tuple[str | int, ...]) -> object:
    """The value at the end of a path, with Liquid's own `size`, `first`, `last` and positions."""
    try:
        for segment in segments:
            value = _CONTEXT.get_item(value, segment)
    except (KeyError, TypeError, IndexError):
        return MISSING
    return value


def html_text(value: object) -> str:
    """A value as it appears in HTML: escaped, unless it is literal text of the template."""
    if type(value) is str:
        return (
            value.replace("&", "&amp;")
            .replace(">", "&gt;")
            .replace("<", "&lt;")
            .replace("'", "&#39;")
            .replace('"', "&#34;")
        )
    if type(value) is Markup:
        return value
    if type(value) is int:
        return str(value)
    return to_liquid_string(value, autoescape=True)


def plain_text(value: object) -> str:
    """A value as it appears in plain text."""
    return value if type(value) is str else to_liquid_string(value, autoescape=False)


def truthy(value: object) -> bool:
    """Everything is true in Liquid but false, nil and a missing variable."""
    return type(value) is str or is_truthy(value)


def items(value: object) -> Sequence[object]:
    """What a `for` loop goes through; a text is one item, and what cannot be looped over is none."""
    if isinstance(value, Mapping):
        value = list(value.items())
    elif isinstance(value, str):
        value = [value] if value else []
    elif not isinstance(value, Sequence):
        return ()
    if len(value) > MAX_ITERATIONS:
        raise ResourceLimitError("loop iteration limit reached", token=None)
    return value


def overspent() -> ResourceLimitError:
    """The refusal to go on with a rendering that has used up its share of work."""
    return ResourceLimitError(f"the template does more work than {MAX_WORK} characters", token=None)
