"""Elements that style sheets hide, as far as needed to know which links may be invisible.

Only selectors of one element with a class or an id are considered, and no conditional rules (`@media`, `@supports`).
Each of these counts, even if another rule shows the element again: a link that may be hidden counts as invisible.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.rendering.visibility import hides, without_comments

_BRACE: Final = re.compile(r"([^{}]*+)([{}])")
_SELECTOR: Final = re.compile(r"(\*|[a-z][a-z0-9-]*+)?((?:[.#][^\s.#:>+~\[\]\"'\\]++)*)")
_PART: Final = re.compile(r"[.#][^.#]+")
_MAX_SELECTORS: Final = 100
"""Selectors of a message that are considered; each is compared with each tag."""


@dataclass(slots=True, kw_only=True)
class Hidden:
    """Selectors that hide elements: the classes and id that an element must have, `.a` or `#a`, and its name."""

    parts: dict[str, list[tuple[str, frozenset[str]]]] = field(default_factory=dict)
    count: int = 0

    def add(self, style_sheet: str) -> None:
        """Add the rules of a `<style>` element, in linear time."""
        depth, rule = 0, ""
        for match in _BRACE.finditer(without_comments(style_sheet.lower())):
            text, brace = match[1], match[2]
            if brace == "{":
                depth += 1
                if depth == 1:
                    rule = text.rpartition(";")[2].replace("<!--", "").replace("-->", "").strip()
                continue
            if depth == 1 and hides(text):
                self._add_selectors(rule)
            depth = max(depth - 1, 0)

    def matches(self, name: str, attributes: Mapping[str, str]) -> bool:
        """Whether a rule hides the element."""
        if not self.count:
            return False
        own = {f".{each}" for each in attributes.get("class", "").lower().split()}
        own.add(f"#{attributes.get('id', '').lower().strip()}")
        return any(
            classes <= own and element in ("*", name) for part in own for element, classes in self.parts.get(part, ())
        )

    def _add_selectors(self, rule: str) -> None:
        for selector in rule.split(","):
            match = _SELECTOR.fullmatch(selector.strip())
            if match is None or not match[2] or self.count >= _MAX_SELECTORS:
                continue
            self.count += 1
            parts = _PART.findall(match[2])
            self.parts.setdefault(parts[0], []).append((match[1] or "*", frozenset(parts)))
