"""What may stand in a contact's fields. All that is wrong with a row is said at once."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypedDict, TypeVar

from core import email_addresses, texts
from core.errors import ErrorCode, InvalidInput, NudgeError
from services.contacts import zones

MAX_NAME_LENGTH: Final = 200
MAX_TAG_LENGTH: Final = 64
MAX_TIME_ZONE_LENGTH: Final = 64
MAX_TAGS: Final = 100
MAX_CUSTOM_FIELDS: Final = 100
MAX_CUSTOM_VALUE_LENGTH: Final = 1_000
MAX_CUSTOM_FIELDS_BYTES: Final = 16_384  # bytes of JSON
MAX_INTEGER: Final = 2**53 - 1  # what JavaScript can hold
CUSTOM_FIELD_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)

Path = tuple[str, ...]
T = TypeVar("T")
CustomFields = dict[str, object]


class GivenFields(TypedDict, total=False):
    """A contact's fields as a caller gives them. A missing key leaves the field alone; None empties it."""

    email: str | None
    first_name: str | None
    last_name: str | None
    custom_fields: object
    tags: list[str] | None
    time_zone: str | None


class Fields(TypedDict, total=False):
    """Checked fields. A key of `custom_fields` that holds None is to be removed."""

    email: str
    email_norm: str
    first_name: str | None
    last_name: str | None
    custom_fields: CustomFields | None
    tags: list[str]
    time_zone: str | None


def check(given: GivenFields, at: Path) -> tuple[Fields, list[NudgeError]]:
    """The checked fields and every refusal; with refusals, the fields must not be used. `at` is the row's path."""
    fields: Fields = {}
    errors: list[NudgeError] = []

    def attempt(rule: Callable[[], T]) -> T | None:
        try:
            return rule()
        except NudgeError as error:
            errors.append(error)
            return None

    if "email" in given and (address := attempt(lambda: email(given["email"], (*at, "email")))):
        fields["email"], fields["email_norm"] = address.email, address.norm
    if "first_name" in given:
        fields["first_name"] = attempt(lambda: name(given["first_name"], (*at, "firstName")))
    if "last_name" in given:
        fields["last_name"] = attempt(lambda: name(given["last_name"], (*at, "lastName")))
    if "time_zone" in given:
        fields["time_zone"] = attempt(lambda: time_zone(given["time_zone"], (*at, "timeZone")))
    if "custom_fields" in given:
        fields["custom_fields"] = attempt(lambda: custom_fields(given["custom_fields"], (*at, "customFields")))
    if "tags" in given:
        fields["tags"] = attempt(lambda: tags(given["tags"] or [], (*at, "tags"))) or []
    return fields, errors


def email(value: str | None, field: Path) -> email_addresses.Address:
    """An address; raises `InvalidInput`."""
    if not value:
        raise InvalidInput("A contact needs an e-mail address.", field=field, code=ErrorCode.REQUIRED)
    return email_addresses.parse(value, field=field)


def name(value: str | None, field: Path) -> str | None:
    """A first or last name of at most 200 characters; None when nothing is left of it."""
    return None if value is None else texts.clean_line(value, field=field, max_length=MAX_NAME_LENGTH) or None


def time_zone(value: str | None, field: Path) -> str | None:
    """An IANA name, in its own spelling; raises `InvalidInput`, with the name that was meant where that is clear."""
    name = texts.clean_line(value or "", field=field, max_length=MAX_TIME_ZONE_LENGTH)
    if not name:
        return None
    if name in zones.names():
        return name
    meant = zones.meant(name)
    raise InvalidInput(
        "Not a time zone of the IANA database, which writes them as Europe/Berlin.",
        field=field,
        suggestion=f"Did you mean {meant}?" if meant else None,
    )


def normalize_tag(value: str, field: Path) -> str:
    """A tag to look up, in the form in which tags are stored; raises `InvalidInput` for what no tag can hold."""
    return " ".join(texts.clean_line(value, field=field, max_length=MAX_TAG_LENGTH * 4).split())


def tag(value: str, field: Path) -> str:
    """A tag of 1 to 64 characters, trimmed and with single spaces; upper and lower case differ."""
    result = normalize_tag(value, field)
    if not result:
        raise InvalidInput("A tag can't be empty.", field=field)
    return texts.require_length(result, field=field, max_length=MAX_TAG_LENGTH)


def tags(values: Iterable[str], field: Path) -> list[str]:
    """Tags without repeats, in their order; raises `InvalidInput` for the first bad one or more than 100."""
    result = list(dict.fromkeys(tag(value, (*field, str(index))) for index, value in enumerate(values)))
    if len(result) > MAX_TAGS:
        raise too_many_tags(field)
    return result


def too_many_tags(field: Path) -> InvalidInput:
    """The refusal of the 101st tag."""
    return InvalidInput(f"A contact has at most {MAX_TAGS} tags.", field=field, code=ErrorCode.TOO_MANY)


def custom_fields(value: object, field: Path) -> CustomFields | None:
    """A JSON object of at most 100 fields with scalars or lists of scalars; raises `InvalidInput`."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidInput("Custom fields are one JSON object.", field=field, suggestion='Write {"plan": "pro"}.')
    result: CustomFields = {}
    for key, entry in value.items():
        if not CUSTOM_FIELD_NAME.fullmatch(key):
            raise InvalidInput(
                f"Not a field name: {key[:64]!r}.",
                field=field,
                suggestion="Start with a letter, then letters, digits and _; at most 64 characters.",
            )
        result[key] = custom_value(entry, (*field, key))
    return fitting(result, field)


def custom_value(value: object, field: Path) -> object:
    """A scalar, or a list of scalars."""
    if isinstance(value, list):
        if len(value) > MAX_CUSTOM_FIELDS:
            raise InvalidInput(
                f"A list holds at most {MAX_CUSTOM_FIELDS} values.", field=field, code=ErrorCode.TOO_MANY
            )
        return [scalar(entry, (*field, str(index))) for index, entry in enumerate(value)]
    return scalar(value, field)


def scalar(value: object, field: Path) -> object:
    """A text of at most 1,000 characters, a number that JavaScript can hold, true, false or null."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return texts.clean_prose(value, field=field, max_length=MAX_CUSTOM_VALUE_LENGTH)
    # Floats too: PostgreSQL keeps 1e20 as a whole number, which no JSON writer of ours could give back.
    if isinstance(value, int | float) and abs(value) > MAX_INTEGER:
        raise InvalidInput("The number is beyond 2^53.", field=field, suggestion="Write it as a text.")
    if isinstance(value, int | float) and not math.isnan(value):
        return value
    raise InvalidInput("A value is a text, a number, true, false, or a list of these.", field=field)


def fitting(values: CustomFields, field: Path) -> CustomFields:
    """The custom fields; raises `InvalidInput` above 100 of them or 16 KiB of JSON."""
    if len(values) > MAX_CUSTOM_FIELDS:
        raise InvalidInput(
            f"A contact has at most {MAX_CUSTOM_FIELDS} custom fields.", field=field, code=ErrorCode.TOO_MANY
        )
    if len(json.dumps(values, ensure_ascii=False).encode()) > MAX_CUSTOM_FIELDS_BYTES:
        raise InvalidInput(
            f"Custom fields take at most {MAX_CUSTOM_FIELDS_BYTES // 1024} KiB.", field=field, code=ErrorCode.TOO_LONG
        )
    return values


def merged(kept: CustomFields, given: CustomFields | None, field: Path) -> CustomFields:
    """Custom fields after an update: given keys overwrite, a given null removes its key, None removes all."""
    if given is None:
        return {}
    result = {key: value for key, value in {**kept, **given}.items() if value is not None}
    return fitting(result, field)


def same(kept: object, given: object) -> bool:
    """Whether two values of a field are the same in JSON, where 1, 1.0 and true differ."""
    if isinstance(kept, dict) and isinstance(given, dict):
        return json.dumps(kept, sort_keys=True) == json.dumps(given, sort_keys=True)
    return kept == given
