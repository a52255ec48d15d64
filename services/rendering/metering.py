"""Metering of a rendering: limits the work of a template, whatever its author or a contact wrote."""

from collections.abc import Mapping
from io import StringIO
from typing import Final, TextIO

from liquid import BoundTemplate, RenderContext
from liquid.exceptions import ResourceLimitError
from liquid.output import LimitedStringIO
from liquid.utils import ReadOnlyChainMap

from services.rendering.limits import MAX_OUTPUT, MAX_WORK
from services.rendering.values import item_of

MIN_BODY_SIZE: Final = 64


class MeteredContext(RenderContext):
    """A render context that counts work, because python-liquid limits nested loops, but not consecutive ones."""

    spent = 0
    body_size = MIN_BODY_SIZE

    def __init__(self, template: BoundTemplate, *, globals: Mapping[str, object] | None = None) -> None:  # noqa: A002  # python-liquid's name
        super().__init__(template, globals=globals)
        # Without python-liquid's own variables `now` and `today`, which Liquid does not have.
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)

    def spend(self, work: int) -> None:
        """Count work in characters; raises `ResourceLimitError` beyond the limit of one rendering."""
        self.spent += work
        if self.spent > MAX_WORK:
            raise ResourceLimitError("the template does too much work", token=None)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Called once per loop: counts all of its iterations in advance."""
        super().raise_for_loop_limit(length)
        self.spend(length * self.body_size)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        """The buffer of an `ifchanged`; the content of the outer buffer counts against the same limit."""
        return limited_buffer(used_by(buf))

    def get_item(self, obj: object, key: object) -> object:
        """The part of a value at a path's segment, or nil."""
        return item_of(obj, key)


def used_by(buffer: TextIO | None) -> int:
    """How many bytes were written to a buffer; they count against the limit of nested buffers."""
    return buffer.size if isinstance(buffer, LimitedStringIO) else 0


def limited_buffer(used: int) -> StringIO:
    """A buffer for the rest of the largest message; raises `OutputStreamLimitError` beyond it."""
    # python-liquid's own limited buffer would convert CR LF to LF, unlike its unlimited one.
    return LimitedStringIO(limit=MAX_OUTPUT - used, newline="")
