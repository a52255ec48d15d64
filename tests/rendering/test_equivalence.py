"""Generated code and python-liquid produce the same bytes, for any template and values."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given

from services.rendering.codegen import Unsupported, generate
from services.rendering.environment import HTML, PLAIN, TEXT, TemplateEnvironment
from tests.properties import examples
from tests.rendering.strategies import MARKUP, VARIABLES, templates

ENVIRONMENTS = pytest.mark.parametrize("environment", [HTML, PLAIN, TEXT], ids=["html", "plain", "text"])


def _outcome(render: Callable[[Mapping[str, object]], str], variables: Mapping[str, object]) -> str | None:
    try:
        return render(variables)
    except Exception:  # noqa: BLE001  # any failure is an outcome, and must be one on both sides
        return None


def check(environment: TemplateEnvironment, source: str, variables: dict[str, object]) -> None:
    """Fail unless both produce the same output, or both fail."""
    bound = environment.from_string(source)
    try:
        code = generate(bound.nodes, environment)
    except Unsupported:
        return
    assert _outcome(code, variables) == _outcome(bound.render, variables)


@ENVIRONMENTS
@examples(long=2_000)
@given(source=templates(MARKUP), variables=VARIABLES)
def test_generated_code_is_byte_equal(
    environment: TemplateEnvironment, source: str, variables: dict[str, object]
) -> None:
    """Each template in the supported subset renders, or fails, exactly as with python-liquid."""
    check(environment, source, variables)
