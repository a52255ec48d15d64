"""Templates and variables for property tests: hostile values, and every tag and filter in odd combinations."""

import datetime as dt

from hypothesis import strategies as st

HOSTILE = st.sampled_from(
    [
        "<script>alert(1)</script>",
        "\" onload='x'",
        "&amp;",
        "{{ contact.email }}",
        "{% raw %}",
        "a\r\nBcc: x@y.z",
        "\x00\x07\x1b[31m\x7f",
        "İ ß ﬁ \U0001d54f \u202e",
        "O'Neil & Söhne",
        "",
        "   ",
        "12",
        "2026-03-04",
        "now",
    ]
)
SCALARS = st.one_of(
    HOSTILE,
    st.text(max_size=12),
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False),
    st.dates(),
    st.datetimes(timezones=st.just(dt.UTC)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["firstName", "size", "first", "x", "k y"]), inner, max_size=3),
    ),
    max_leaves=6,
)
NAMES = ["firstName", "tags", "customFields", "size", "x"]
VARIABLES = st.one_of(
    st.fixed_dictionaries({"contact": st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5)}),
    st.fixed_dictionaries({"contact": VALUES, "x": VALUES}),
    st.just({}),
)

PATHS = st.sampled_from(
    [
        "contact",
        "contact.firstName",
        "contact.firstName",
        "contact.tags",
        "contact.tags.size",
        "contact.tags.first",
        "contact.tags[0]",
        "contact.tags[-1]",
        "contact.customFields.x",
        "contact.customFields['k y']",
        "contact.size",
        "x",
        "item",
        "item.x",
        "item[1]",
        "forloop.index",
        "forloop.last",
        "forloop.rindex0",
        "missing.thing",
    ]
)
LITERALS = [
    '"there"',
    "'<i>&'",
    "'\"&amp;\"'",
    '"\'>"',
    '""',
    "3",
    "-1",
    "2.5",
    "true",
    "false",
    "nil",
    '"%Y-%m"',
    '", "',
]
ARGUMENTS = st.one_of(PATHS, st.sampled_from(LITERALS))
OPERANDS = st.one_of(PATHS, st.sampled_from([*LITERALS, "empty", "blank"]))
FILTERS = st.sampled_from(
    [
        "default: {}",
        "default: {}",
        "upcase",
        "downcase",
        "capitalize",
        "strip",
        "escape",
        "escape_once",
        "h",
        "append: {}",
        "prepend: {}",
        "truncate: 5",
        "truncate: 5, {}",
        "truncatewords: 2",
        "size",
        "first",
        "last",
        'date: "%d %B"',
        "join: {}",
        "replace: {}, {}",
        "remove: {}",
        'split: ","',
        "plus: {}",
        "times: 2",
        "divided_by: {}",
        "round",
        "strip_html",
        "strip_newlines",
        "url_encode",
        "url_decode",
        "escapejs",
        "slice: 0, 2",
        "reverse",
        "sort",
        "uniq",
        "compact",
        "map: {}",
        "where: {}",
        "sum",
        "sort_natural",
        "concat: {}",
        "reject: {}",
        "find: {}",
        "has: {}, {}",
        "find_index: {}",
        "first | append: {}",
        "squish",
        "lstrip",
        "rstrip",
        "remove_first: {}",
        "remove_last: {}",
        "replace_first: {}, {}",
        "replace_last: {}, {}",
        "base64_encode",
        "base64_encode | base64_decode",
        "base64_url_safe_encode",
        "base64_url_safe_encode | base64_url_safe_decode",
        "plus: {} | minus: {}",
        "modulo: {}",
        "abs",
        "ceil",
        "floor",
        "at_least: {}",
        "at_most: {}",
    ]
)
MARKUP = st.one_of(
    st.sampled_from(["Hi ", "<p>", "\n  ", " ", '"""', "'''\\", "{ x }", "%s {0} }}", "\\n${k0}", "é𝕏"]),
    st.text(alphabet=st.characters(exclude_characters="{%}", exclude_categories=["Cs"]), max_size=8),
)
WORDS = st.sampled_from(["Hi ", ", ", "\n", " ", "é𝕏 ", "a-b", "", "total: "])
OPERATORS = st.sampled_from(["==", "!=", "<>", "<", ">", "<=", ">=", "contains"])


@st.composite
def _filters(draw: st.DrawFn) -> str:
    pattern = draw(FILTERS)
    return " | " + pattern.format(*[draw(ARGUMENTS) for _ in range(pattern.count("{}"))])


@st.composite
def _outputs(draw: st.DrawFn) -> str:
    dash = draw(st.sampled_from(["", "", "-"]))
    steps = "".join(draw(st.lists(_filters(), max_size=3)))
    return f"{{{{{dash} {draw(OPERANDS)}{steps} {dash}}}}}"


@st.composite
def _conditions(draw: st.DrawFn) -> str:
    def comparison() -> str:
        if draw(st.booleans()):
            return draw(OPERANDS)
        return f"{draw(OPERANDS)} {draw(OPERATORS)} {draw(OPERANDS)}"

    parts = [comparison() for _ in range(draw(st.integers(1, 3)))]
    text = parts[0]
    for part in parts[1:]:
        text += f" {draw(st.sampled_from(['and', 'or']))} {part}"
    return text


def _blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map("".join)
    conditional = st.builds(
        "{{% {0} {1} %}}{2}{{% elsif {3} %}}{4}{{% else %}}{5}{{% end{0} %}}".format,
        st.sampled_from(["if", "unless"]),
        _conditions(),
        body,
        _conditions(),
        body,
        body,
    )
    loop = st.builds(
        "{{% for item in {} %}}{}{}{{% else %}}{}{{% endfor %}}".format,
        PATHS,
        body,
        st.sampled_from(["", "", "{% if forloop.first %}{% continue %}{% endif %}", "{% break %}"]),
        body,
    )
    return st.one_of(conditional, loop)


def _stateful(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Blocks that generated code does not support."""
    body = st.lists(inner, max_size=3).map("".join)
    return st.one_of(
        st.builds("{{% capture item %}}{}{{% endcapture %}}{{{{ item }}}}".format, body),
        st.builds("{{% capture x %}}{}{{% endcapture %}}{{{{ x{} }}}}".format, body, _filters()),
        st.builds("{{% assign x = {}{} %}}{}".format, OPERANDS, _filters(), body),
        st.builds("{{% echo {}{} %}}".format, OPERANDS, _filters()),
        st.builds("{{% liquid echo {}\n assign item = {} %}}".format, OPERANDS, OPERANDS),
        st.builds("{{% cycle {}, {} %}}".format, ARGUMENTS, ARGUMENTS),
        st.builds("{{% ifchanged %}}{}{{% endifchanged %}}".format, body),
        st.builds(
            "{{% case {} %}}{{% when {}, {} %}}{}{{% else %}}{}{{% endcase %}}".format,
            OPERANDS,
            OPERANDS,
            OPERANDS,
            body,
            body,
        ),
    )


def templates(text: st.SearchStrategy[str], *, stateful: bool = False) -> st.SearchStrategy[str]:
    """Templates with one kind of literal text; with `stateful` also with assignments, captures and the like."""

    def extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(inner, _blocks(inner), *([_stateful(inner)] if stateful else []))

    return st.lists(st.recursive(st.one_of(text, _outputs()), extend, max_leaves=6), max_size=5).map("".join)
