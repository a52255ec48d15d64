"""Each operator, loop property and kind of value of the supported subset, compared with python-liquid."""

import datetime as dt
from itertools import product

import pytest

from services.rendering.codegen import generate
from services.rendering.environment import HTML, PLAIN, TemplateEnvironment

VALUES: tuple[object, ...] = (
    "",
    "a",
    "ab",
    "<b>'\"&",
    " ",
    0,
    1,
    2,
    -1,
    1.0,
    2.5,
    True,
    False,
    None,
    [],
    ["a"],
    {},
    {"a": 1},
)
ITERABLES = (*VALUES, ["a", None, 3, "<x>"], ("p", "q"), range(3), {"k": "v", "l": ["m"]}, dt.date(2026, 3, 4))
ENVIRONMENTS = pytest.mark.parametrize("environment", [HTML, PLAIN], ids=["html", "plain"])


def outcomes(environment: TemplateEnvironment, source: str, variables: dict[str, object]) -> tuple[str, str]:
    """The results of generated code and of python-liquid; a failure by its type."""
    bound = environment.from_string(source)
    results = []
    for render in (generate(bound.nodes, environment), bound.render):
        try:
            results.append(render(variables))
        except Exception as error:  # noqa: BLE001  # any failure is an outcome, and must be one on both sides
            results.append(type(error).__name__)
    return results[0], results[1]


@ENVIRONMENTS
@pytest.mark.parametrize("operator", ["==", "!=", "<>", "<", ">", "<=", ">=", "contains", "and", "or"])
def test_operators_agree(environment: TemplateEnvironment, operator: str) -> None:
    """Each pair of values has the same result."""
    condition = f"c.l {operator} c.r"
    source = f"{{% if {condition} %}}yes{{% else %}}no{{% endif %}}{{% unless {condition} %}}x{{% endunless %}}"
    for left, right in product(VALUES, repeat=2):
        ours, theirs = outcomes(environment, source, {"c": {"l": left, "r": right}})
        assert ours == theirs, (left, operator, right)


@ENVIRONMENTS
@pytest.mark.parametrize("name", ["index", "index0", "rindex", "rindex0", "first", "last", "length"])
def test_loops_agree(environment: TemplateEnvironment, name: str) -> None:
    """Each kind of value gives the same loop, with each of the loop's properties."""
    source = f"{{% for i in c.v %}}[{{{{ i }}}}:{{{{ forloop.{name} }}}}]{{% else %}}none{{% endfor %}}"
    for value in ITERABLES:
        ours, theirs = outcomes(environment, source, {"c": {"v": value}})
        assert ours == theirs, value


@ENVIRONMENTS
@pytest.mark.parametrize(
    "path", ["c.v", "c.v.size", "c.v.first", "c.v.last", "c.v[0]", "c.v[-1]", "c.v.a", "c.v['a'].b"]
)
def test_paths_agree(environment: TemplateEnvironment, path: str) -> None:
    """Each kind of value gives the same parts and output."""
    for value in ITERABLES:
        ours, theirs = outcomes(
            environment, f"{{{{ {path} }}}}|{{{{ {path} | default: 'd<' }}}}", {"c": {"v": value}}
        )
        assert ours == theirs, value
