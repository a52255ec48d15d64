"""Validation of a contact's fields. All errors of a row are reported together."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypedDict, TypeVar

from core import email_addresses, texts
from core.errors import ErrorCode, InvalidInput, NudgeError
from services.contacts import zones

_MAX_NAME_LENGTH: Final = 200
_MAX_TAG_LENGTH: Final = 64
_MAX_TIME_ZONE_LENGTH: Final = 64
MAX_TAGS: Final = 100
_MAX_CUSTOM_FIELDS: Final = 100
_MAX_CUSTOM_VALUE_LENGTH: Final = 1_000
_MAX_CUSTOM_FIELDS_BYTES: Final = 16_384  # bytes of JSON
_MAX_INTEGER: Final = 2**53 - 1  # Number.MAX_SAFE_INTEGER of JavaScript
_CUSTOM_FIELD_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)

_Path = tuple[str, ...]
T = TypeVar("T")
_CustomFields = dict[str, object]


class UncheckedFields(TypedDict, total=False):
    """A contact's fields as the caller sent them. A missing key leaves the field unchanged; None clears it."""

    email: str | None
    first_name: str | None
    last_name: str | None
    custom_fields: object
    tags: list[str] | None
    time_zone: str | None


class CheckedFields(TypedDict, total=False):
    """Valid fields, normalized. A key of `custom_fields` whose value is None must be removed."""

    email: str
    email_norm: str
    first_name: str | None
    last_name: str | None
    custom_fields: _CustomFields | None
    tags: list[str]
    time_zone: str | None


def check(unchecked: UncheckedFields, path: _Path) -> tuple[CheckedFields, list[NudgeError]]:
    """The checked fields and all errors; with errors, the fields must not be used. `path` is the row's path."""
    fields: CheckedFields = {}
    errors: list[NudgeError] = []

    def attempt(rule: Callable[[], T]) -> T | None:
        try:
            return rule()
        except NudgeError as error:
            errors.append(error)
            return None

    if "email" in unchecked and (address := attempt(lambda: _email(unchecked["email"], (*path, "email")))):
        fields["email"], fields["email_norm"] = address.email, address.norm
    if "first_name" in unchecked:
        fields["first_name"] = attempt(lambda: _name(unchecked["first_name"], (*path, "firstName")))
    if "last_name" in unchecked:
        fields["last_name"] = attempt(lambda: _name(unchecked["last_name"], (*path, "lastName")))
    if "time_zone" in unchecked:
        fields["time_zone"] = attempt(lambda: time_zone(unchecked["time_zone"], (*path, "timeZone")))
    if "custom_fields" in unchecked:
        fields["custom_fields"] = attempt(lambda: _custom_fields(unchecked["custom_fields"], (*path, "customFields")))
    if "tags" in unchecked:
        fields["tags"] = attempt(lambda: tags(unchecked["tags"] or [], (*path, "tags"))) or []
    return fields, errors


def _email(value: str | None, field: _Path) -> email_addresses.Address:
    """An address; raises `InvalidInput`."""
    if not value:
        raise InvalidInput("A contact needs an e-mail address.", field=field, code=ErrorCode.REQUIRED)
    return email_addresses.parse(value, field=field)


def _name(value: str | None, field: _Path) -> str | None:
    """A first or last name of at most 200 characters; None if it is blank."""
    return None if value is None else texts.clean_line(value, field=field, max_length=_MAX_NAME_LENGTH) or None


def time_zone(value: str | None, field: _Path) -> str | None:
    """An IANA time zone name; raises `InvalidInput`, with a suggestion for a name that is unambiguously misspelt."""
    name = texts.clean_line(value or "", field=field, max_length=_MAX_TIME_ZONE_LENGTH)
    if not name:
        return None
    if name in zones.names():
        return name
    suggested = zones.suggest(name)
    raise InvalidInput(
        "Not a time zone of the IANA database. Example: Europe/Berlin.",
        field=field,
        suggestion=f"Did you mean {suggested}?" if suggested else None,
    )


def normalize_tag(value: str, field: _Path) -> str:
    """A tag to look up, normalized as stored tags are; raises `InvalidInput` for characters that no tag can have."""
    return " ".join(texts.clean_line(value, field=field, max_length=_MAX_TAG_LENGTH * 4).split())


def _tag(value: str, field: _Path) -> str:
    """A tag of 1 to 64 characters, trimmed and with single spaces; upper and lower case differ."""
    result = normalize_tag(value, field)
    if not result:
        raise InvalidInput("A tag cannot be empty.", field=field)
    return texts.require_length(result, field=field, max_length=_MAX_TAG_LENGTH)


def tags(values: Iterable[str], field: _Path) -> list[str]:
    """Tags without duplicates, in their order; raises `InvalidInput` for the first invalid one or more than 100."""
    result = list(dict.fromkeys(_tag(value, (*field, str(index))) for index, value in enumerate(values)))
    if len(result) > MAX_TAGS:
        raise too_many_tags(field)
    return result


def too_many_tags(field: _Path) -> InvalidInput:
    """The error for more than 100 tags."""
    return InvalidInput(f"A contact has at most {MAX_TAGS} tags.", field=field, code=ErrorCode.TOO_MANY)


def _custom_fields(value: object, field: _Path) -> _CustomFields | None:
    """A JSON object of at most 100 fields with scalars or lists of scalars; raises `InvalidInput`."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidInput("Custom fields must be a JSON object.", field=field, suggestion='Write {"plan": "pro"}.')
    result: _CustomFields = {}
    for key, entry in value.items():
        if not _CUSTOM_FIELD_NAME.fullmatch(key):
            raise InvalidInput(
                f"Not a valid field name: {key[:64]!r}.",
                field=field,
                suggestion="A name starts with a letter, followed by letters, digits and _, at most 64 characters.",
            )
        result[key] = _custom_value(entry, (*field, key))
    return _require_size(result, field)


def _custom_value(value: object, field: _Path) -> object:
    """A scalar, or a list of scalars."""
    if isinstance(value, list):
        if len(value) > _MAX_CUSTOM_FIELDS:
            raise InvalidInput(
                f"A list has at most {_MAX_CUSTOM_FIELDS} values.", field=field, code=ErrorCode.TOO_MANY
            )
        return [_scalar(entry, (*field, str(index))) for index, entry in enumerate(value)]
    return _scalar(value, field)


def _scalar(value: object, field: _Path) -> object:
    """A string of at most 1,000 characters, a number that JavaScript can represent, true, false or null."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return texts.clean_prose(value, field=field, max_length=_MAX_CUSTOM_VALUE_LENGTH)
    # Floats too: PostgreSQL stores 1e20 as a whole number, which our JSON encoder could not write.
    if isinstance(value, int | float) and abs(value) > _MAX_INTEGER:
        raise InvalidInput(
            "The number is not between -(2^53 - 1) and 2^53 - 1.", field=field, suggestion="Send it as a string."
        )
    if isinstance(value, int | float) and not math.isnan(value):
        return value
    raise InvalidInput("A value must be a string, a number, true, false, or a list of these.", field=field)


def _require_size(values: _CustomFields, field: _Path) -> _CustomFields:
    """The custom fields; raises `InvalidInput` above 100 of them or 16 KiB of JSON."""
    if len(values) > _MAX_CUSTOM_FIELDS:
        raise InvalidInput(
            f"A contact has at most {_MAX_CUSTOM_FIELDS} custom fields.", field=field, code=ErrorCode.TOO_MANY
        )
    if len(json.dumps(values, ensure_ascii=False).encode()) > _MAX_CUSTOM_FIELDS_BYTES:
        raise InvalidInput(
            f"Custom fields have at most {_MAX_CUSTOM_FIELDS_BYTES // 1024} KiB.",
            field=field,
            code=ErrorCode.TOO_LONG,
        )
    return values


def merge(stored: _CustomFields, changes: _CustomFields | None, field: _Path) -> _CustomFields:
    """Custom fields after an update: a change overwrites its key, null removes it; None as `changes` removes all."""
    if changes is None:
        return {}
    result = {key: value for key, value in {**stored, **changes}.items() if value is not None}
    return _require_size(result, field)


def is_same_value(stored: object, new: object) -> bool:
    """Whether two values of a field are the same in JSON, where 1, 1.0 and true differ."""
    if isinstance(stored, dict) and isinstance(new, dict):
        return json.dumps(stored, sort_keys=True) == json.dumps(new, sort_keys=True)
    return stored == new
