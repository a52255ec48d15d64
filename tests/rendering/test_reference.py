"""Comparison with the reference implementation: `reference.json` has the output of Shopify's Liquid per template.

It was recorded with Shopify/liquid 5.13 in its strict mode, in UTC. Each case has a template and its result; all have
the same variables.
"""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from services.rendering.environment import PLAIN, REMOVED_TAGS
from services.rendering.templates import compile_template

RECORDED: Final = json.loads(Path(__file__).with_name("reference.json").read_text())
VARIABLES: Final[dict[str, object]] = RECORDED["variables"]
CASES: Final[list[tuple[str, str]]] = [(template, result) for template, result in RECORDED["cases"]]
OURS: Final = frozenset({"escapejs"})
"""Filters that the reference does not have."""


@pytest.mark.parametrize(("source", "result"), CASES, ids=[source for source, _ in CASES])
def test_templates_give_the_results_of_the_reference(source: str, result: str) -> None:
    """Generated code and python-liquid both give the recorded result."""
    assert compile_template(source, html=False, field=()).render(VARIABLES) == result
    assert PLAIN.from_string(source).render(VARIABLES) == result


def test_every_filter_has_a_case() -> None:
    """A filter cannot be added, by us or by python-liquid, without a comparison with the reference."""
    tested = {name for source, _ in CASES for name in re.findall(r"\|\s*(\w+)", source)}
    assert set(PLAIN.filters) - OURS == tested


def test_every_tag_has_a_case() -> None:
    """A tag cannot be added, by us or by python-liquid, without a comparison with the reference."""
    tested = {name for source, _ in CASES for name in re.findall(r"(?:\{%-?|\n)\s*(\w+|#)", source)}
    tags = {name for name in PLAIN.tags if name == "#" or re.fullmatch(r"[a-z]+", name)}
    assert tags - {"content", "output", "illegal"} <= tested
    assert not tags & set(REMOVED_TAGS)
