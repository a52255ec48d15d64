"""Sentences about the JSON of a tool's result, with its real figures."""

import re
from collections.abc import Mapping, Sequence

from sandbox.wire import JsonObject

NAMES = ("name", "title", "subject", "email")
COUNTS = ("total", "total_count", "totalCount", "count", "contact_count", "contactCount")
MAX_ITEMS = 3
MAX_FIGURES = 10
MAX_QUOTE = 200


def describe(tool: str, result: object) -> str:
    """One or two sentences about the result of a tool."""
    if isinstance(result, str):
        return f"{_noun(tool).capitalize()} returned: {result[:MAX_QUOTE]}"
    if isinstance(result, int | float):
        return f"I count {_figure(result)} {_noun(tool)}."
    if isinstance(result, list):
        return _describe_list(tool, result, None)
    if not isinstance(result, dict):
        return "I looked it up and found nothing."
    if error := result.get("error"):
        return f"I could not look that up: {_error(error)}"
    return _describe_object(tool, result)


def _describe_object(tool: str, result: JsonObject) -> str:
    lists = [(key, value) for key, value in result.items() if isinstance(value, list)]
    total = next((result[key] for key in COUNTS if isinstance(result.get(key), int)), None)
    if lists:
        key, items = max(lists, key=lambda entry: len(entry[1]))
        return _describe_list(key, items, total)
    nested = [value for value in result.values() if isinstance(value, dict)]
    figures = _figures(result)
    if len(nested) == 1 and not figures:
        return describe(tool, nested[0])
    title = next((str(result[key]) for key in NAMES if result.get(key)), None)
    for inner in nested:
        figures += _figures(inner)
        title = title or next((str(inner[key]) for key in NAMES if inner.get(key)), None)
    if not figures:
        return f"I found {_titled(result)}." if title else "I looked it up and found no figures."
    if len(figures) == 1 and total is not None:
        return f"You have {_figure(total)} {_noun(tool)}."
    return f"{f'“{title}”' if title else 'Here are the figures'}: {', '.join(figures[:MAX_FIGURES])}."


def _describe_list(key: str, items: Sequence[object], total: object) -> str:
    count = total if isinstance(total, int) else len(items)
    noun = _noun(key)
    if not items:
        return f"You have {_figure(count)} {noun}." if count else f"I found no {noun}."
    named = [_titled(item) for item in items[:MAX_ITEMS] if isinstance(item, dict)]
    more = f", and {_figure(count - MAX_ITEMS)} more" if count > MAX_ITEMS else ""
    listing = f": {', '.join(named)}{more}" if named else ""
    return f"I found {_figure(count)} {noun if count != 1 else noun.removesuffix('s')}{listing}."


def _titled(item: Mapping[str, object]) -> str:
    title = next((str(item[key]) for key in NAMES if item.get(key)), "one without a name")
    notes = [str(item["status"]).lower().replace("_", " ")] if item.get("status") else []
    notes += _figures(item)[:MAX_ITEMS]
    return f"“{title}” ({', '.join(notes)})" if notes else f"“{title}”"


def _figures(item: Mapping[str, object]) -> list[str]:
    return [
        f"{_words(key)} {_rate(key, value)}"
        for key, value in item.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def _rate(key: str, value: float) -> str:
    if key.lower().endswith("rate") and 0 <= value <= 1:
        return f"{value * 100:.1f} %"
    return _figure(value)


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)


def _error(error: object) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:MAX_QUOTE]


def _words(key: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]", " ", key).lower()


def _noun(name: str) -> str:
    """The noun in the name of a tool or key: `contacts` for `count_contacts`."""
    words = _words(name).split()
    if words and words[-1] in {"nodes", "items", "results", "data", "edges", "tool"}:
        return "entries"
    nouns = [
        word for word in words if word not in {"get", "list", "count", "search", "find", "read", "fetch", "recent"}
    ]
    return " ".join(nouns) or "entries"
