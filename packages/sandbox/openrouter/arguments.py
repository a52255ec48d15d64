"""Arguments for a tool, chosen by its JSON schema from the question and from earlier results."""

import re
from collections.abc import Iterator, Mapping, Sequence

from sandbox.wire import JsonObject

QUOTED = re.compile(r"[\"“„'«]([^\"”“'»]{2,80})[\"”“'»]")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
DEFAULT_LIMIT = 10


def arguments_for(schema: Mapping[str, object], question: str, results: Sequence[object]) -> JsonObject | None:
    """The required arguments, or None if one is an id or address that is not known yet."""
    properties, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return {}
    arguments: JsonObject = {}
    for name in required:
        found, value = _value(str(name), properties.get(name), question, results)
        if not found:
            return None
        arguments[str(name)] = value
    return arguments


def _value(name: str, schema: object, question: str, results: Sequence[object]) -> tuple[bool, object]:
    rules = schema if isinstance(schema, dict) else {}
    choices = rules.get("enum")
    if isinstance(choices, list) and choices:
        named = [choice for choice in choices if str(choice).lower() in question.lower()]
        return True, None if None in choices and not named else (named or choices)[0]
    kinds = _kinds(rules)
    if "default" in rules:
        return True, rules["default"]
    if "null" in kinds and not _is_id(name):
        return True, None
    if "integer" in kinds or "number" in kinds:
        return True, _number(rules)
    simple: dict[str, object] = {"boolean": False, "array": [], "object": {}}
    for kind, empty in simple.items():
        if kind in kinds:
            return True, empty
    found, value = _text(name, question, results)
    return (True, None) if "null" in kinds and not found else (found, value)


def _kinds(rules: Mapping[str, object]) -> set[str]:
    kinds: set[str] = set()
    for rule in (rules, *_alternatives(rules)):
        kind = rule.get("type")
        kinds |= {str(each) for each in kind} if isinstance(kind, list) else {str(kind)}
    return kinds


def _alternatives(rules: Mapping[str, object]) -> list[JsonObject]:
    choices = rules.get("anyOf", [])
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _number(rules: Mapping[str, object]) -> float:
    low, high = rules.get("minimum", 0), rules.get("maximum", DEFAULT_LIMIT)
    floor = low if isinstance(low, int | float) else 0
    ceiling = high if isinstance(high, int | float) else DEFAULT_LIMIT
    return max(floor, min(DEFAULT_LIMIT, ceiling))


def _text(name: str, question: str, results: Sequence[object]) -> tuple[bool, object]:
    if _is_id(name):
        known_id = _known_id(name, question, results)
        return known_id is not None, known_id
    if "email" in name.lower():
        address = EMAIL.search(question)
        return address is not None, address[0] if address else None
    quoted = QUOTED.search(question)
    return True, quoted[1] if quoted else ""


def _is_id(name: str) -> bool:
    return name.lower() == "id" or name.endswith(("_id", "Id", "ID"))


def _known_id(name: str, question: str, results: Sequence[object]) -> str | None:
    """The id of the object that the question names, otherwise of the first one in the results."""
    candidates = [item for result in results for item in _objects(result) if isinstance(_id(item, name), str)]
    lowered = question.lower()
    named = [item for item in candidates if (title := str(item.get("name") or "").lower()) and title in lowered]
    chosen = (named or candidates)[:1]
    return str(_id(chosen[0], name)) if chosen else None


def _id(item: Mapping[str, object], name: str) -> object:
    return item.get(name) or item.get("id")


def _objects(value: object) -> Iterator[JsonObject]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)
