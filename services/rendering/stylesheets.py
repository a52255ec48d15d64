"""What style sheets hide: enough to know which links a reader may not see.

Only selectors of one element with a class or an id are looked at, outside of rules for some clients alone (`@media`,
`@supports`). Of these each counts, even where another one shows the element again: in doubt a link counts as unseen.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.rendering.visibility import hides, without_comments

BRACE: Final = re.compile(r"([^{}]*+)([{}])")
SELECTOR: Final = re.compile(r"(\*|[a-z][a-z0-9-]*+)?((?:[.#][^\s.#:>+~\[\]\"'\\]++)*)")
PART: Final = re.compile(r"[.#][^.#]+")
MAX_SELECTORS: Final = 100
"""Selectors of a message that are looked at; each is compared with each tag."""


@dataclass(slots=True, kw_only=True)
class Hidden:
    """What is hidden: by the classes and the id that an element must have, `.a` or `#a`, and perhaps its name."""

    parts: dict[str, list[tuple[str, frozenset[str]]]] = field(default_factory=dict)
    count: int = 0

    def add(self, style_sheet: str) -> None:
        """Read one more `<style>`; linear in its length."""
        depth, rule = 0, ""
        for match in BRACE.finditer(without_comments(style_sheet.lower())):
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
            wanted <= own and element in ("*", name) for part in own for element, wanted in self.parts.get(part, ())
        )

    def _add_selectors(self, rule: str) -> None:
        for selector in rule.split(","):
            found = SELECTOR.fullmatch(selector.strip())
            if found is None or not found[2] or self.count >= MAX_SELECTORS:
                continue
            self.count += 1
            parts = PART.findall(found[2])
            self.parts.setdefault(parts[0], []).append((found[1] or "*", frozenset(parts)))
