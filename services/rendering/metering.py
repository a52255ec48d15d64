"""The meter of one rendering: how much work a template may do, whatever its author and its contacts wrote."""

from collections.abc import Mapping
from io import StringIO
from typing import Final, TextIO

from liquid import BoundTemplate, RenderContext
from liquid.exceptions import ResourceLimitError
from liquid.output import LimitedStringIO
from liquid.utils import ReadOnlyChainMap

from services.rendering.limits import MAX_OUTPUT, MAX_WORK
from services.rendering.values import item_of

SMALLEST_BODY: Final = 64


class MeteredContext(RenderContext):
    """A rendering that counts its work, because python-liquid limits nested loops but not loops in a row."""

    spent = 0
    body_size = SMALLEST_BODY

    def __init__(self, template: BoundTemplate, *, globals: Mapping[str, object] | None = None) -> None:  # noqa: A002  # python-liquid's name
        super().__init__(template, globals=globals)
        # Without python-liquid's own variables `now` and `today`, which Liquid does not have.
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)

    def spend(self, work: int) -> None:
        """Count work in characters; raises `ResourceLimitError` beyond the share of one rendering."""
        self.spent += work
        if self.spent > MAX_WORK:
            raise ResourceLimitError("the template does too much work", token=None)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Called once a loop: all its rounds are paid for before the first."""
        super().raise_for_loop_limit(length)
        self.spend(length * self.body_size)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        """The buffer of an `ifchanged`; what the outer one holds counts against the same limit."""
        return limited_buffer(used_by(buf))

    def get_item(self, obj: object, key: object) -> object:
        """The part of a value that a path names, nil when there is none."""
        return item_of(obj, key)


def used_by(buffer: TextIO | None) -> int:
    """How many bytes were written to a buffer; they count against the limit of those within it."""
    return buffer.size if isinstance(buffer, LimitedStringIO) else 0


def limited_buffer(used: int) -> StringIO:
    """A buffer for what is left of the largest message; raises `OutputStreamLimitError` beyond it."""
    # python-liquid's own limited buffer would turn CR LF into LF, its unlimited one does not.
    return LimitedStringIO(limit=MAX_OUTPUT - used, newline="")
