from typing import ClassVar

from liquid.exceptions import FilterArgumentError

from core.errors import ErrorCode, NudgeError


class TemplateInvalid(NudgeError):
    """A template that cannot be used; `line` and `column` count from 1 and point at the fault."""

    code: ClassVar[ErrorCode] = ErrorCode.TEMPLATE_INVALID

    def __init__(
        self,
        message: str,
        *,
        line: int,
        column: int,
        field: tuple[str, ...] = (),
        suggestion: str | None = None,
    ) -> None:
        super().__init__(f"{message} (line {line}, column {column})", field=field, suggestion=suggestion)
        self.line = line
        self.column = column


class RenderFailed(NudgeError):
    """A valid template that fails with one contact's values, e.g. text compared with a number, or too much output."""

    code: ClassVar[ErrorCode] = ErrorCode.TEMPLATE_INVALID


class ValueProblem(FilterArgumentError):
    """A value that a filter, tag or comparison cannot work with; the message is a sentence for the author."""

    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)
