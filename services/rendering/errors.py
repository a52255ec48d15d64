from typing import ClassVar

from liquid.exceptions import FilterArgumentError

from core.errors import ErrorCode, NudgeError


class TemplateInvalid(NudgeError):
    """A template is invalid; `line` and `column` (from 1) are the position of the error."""

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
    """A valid template fails with one contact's values, e.g. text compared with a number, or too much output."""

    code: ClassVar[ErrorCode] = ErrorCode.TEMPLATE_INVALID


class ValueProblem(FilterArgumentError):
    """A filter, tag or comparison cannot use a value; the message is a sentence for the author."""

    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)
