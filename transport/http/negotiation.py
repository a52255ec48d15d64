"""What a client accepts, and what it sends (GraphQL over HTTP, sections 4 to 6)."""

from functools import lru_cache
from typing import Final

GRAPHQL: Final = "application/graphql-response+json"
JSON: Final = "application/json"
HTML: Final = "text/html"


@lru_cache(maxsize=256)
def chosen(accept: str | None, *, html: bool) -> str | None:
    """The media type to answer with, or None when the client accepts none of ours.

    Without a header, and for `*/*`, it is `application/json`: the oldest clients know nothing else.
    """
    if not accept or not accept.strip():
        return JSON
    offered = (HTML, GRAPHQL, JSON) if html else (GRAPHQL, JSON)
    for wanted in by_preference(accept):
        if wanted in offered:
            return wanted
        if wanted in {"*/*", "application/*"}:
            return JSON
    return None


def by_preference(accept: str) -> list[str]:
    """The media types of an Accept header, best first; of equal ones the first wins."""
    found: list[tuple[float, str]] = []
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = next((value for value in parameters if value.startswith("q=")), "q=1")
        try:
            weight = float(quality.removeprefix("q="))
        except ValueError:
            weight = 0.0
        if weight > 0 and acceptable_charset(parameters):
            found.append((weight, name))
    return [name for _, name in sorted(found, key=lambda pair: -pair[0])]


def acceptable_charset(parameters: list[str]) -> bool:
    """Whether the parameters ask for UTF-8 or for no charset: we write nothing else."""
    return all(
        value.removeprefix("charset=").strip('"') in {"utf-8", "utf8"}
        for value in parameters
        if value.startswith("charset=")
    )


@lru_cache(maxsize=256)
def is_json(content_type: str | None) -> bool:
    """Whether a body is JSON in UTF-8."""
    name, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    return name == JSON and acceptable_charset(parameters)
