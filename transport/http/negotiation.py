"""Media types of responses and requests (GraphQL over HTTP, sections 4 to 6)."""

from functools import lru_cache
from typing import Final

GRAPHQL: Final = "application/graphql-response+json"
JSON: Final = "application/json"
HTML: Final = "text/html"


@lru_cache(maxsize=256)
def negotiate(accept: str | None, *, html: bool) -> str | None:
    """The media type of the response, or None when the client accepts none that we produce.

    Without a header, and for `*/*`, it is `application/json`, the only one that old clients understand.
    """
    if not accept or not accept.strip():
        return JSON
    offered = (HTML, GRAPHQL, JSON) if html else (GRAPHQL, JSON)
    for media_type in _by_preference(accept):
        if media_type in offered:
            return media_type
        if media_type in {"*/*", "application/*"}:
            return JSON
    return None


def _by_preference(accept: str) -> list[str]:
    """The media types of an Accept header by descending quality; equal ones stay in the header's order."""
    weighted: list[tuple[float, str]] = []
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = next((value for value in parameters if value.startswith("q=")), "q=1")
        try:
            weight = float(quality.removeprefix("q="))
        except ValueError:
            weight = 0.0
        if weight > 0 and _is_utf8(parameters):
            weighted.append((weight, name))
    return [name for _, name in sorted(weighted, key=lambda pair: -pair[0])]


def _is_utf8(parameters: list[str]) -> bool:
    """Whether the parameters ask for UTF-8 or for no charset: we produce nothing else."""
    return all(
        value.removeprefix("charset=").strip('"') in {"utf-8", "utf8"}
        for value in parameters
        if value.startswith("charset=")
    )


@lru_cache(maxsize=256)
def is_json(content_type: str | None) -> bool:
    """Whether a body is JSON in UTF-8."""
    name, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    return name == JSON and _is_utf8(parameters)
