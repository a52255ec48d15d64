"""python-liquid's lexer and parser, mended where the reference reads more: it has no hooks for them.

Importing this module mends them for the whole process.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from liquid import stream
from liquid.builtin import output
from liquid.builtin.expressions import filtered, tokenize
from liquid.lex import _tokenize_template, compile_liquid_rules
from liquid.token import (
    TOKEN_AND,
    TOKEN_AS,
    TOKEN_ASSIGN,
    TOKEN_BLANK,
    TOKEN_COLON,
    TOKEN_COLS,
    TOKEN_COMMA,
    TOKEN_CONTAINS,
    TOKEN_CONTINUE,
    TOKEN_DOT,
    TOKEN_ELSE,
    TOKEN_EMPTY,
    TOKEN_EQ,
    TOKEN_FALSE,
    TOKEN_FOR,
    TOKEN_GE,
    TOKEN_GT,
    TOKEN_IF,
    TOKEN_IN,
    TOKEN_LBRACKET,
    TOKEN_LE,
    TOKEN_LG,
    TOKEN_LIMIT,
    TOKEN_LT,
    TOKEN_NE,
    TOKEN_NIL,
    TOKEN_NOT,
    TOKEN_NULL,
    TOKEN_OFFSET,
    TOKEN_OR,
    TOKEN_RANGE,
    TOKEN_RANGE_LITERAL,
    TOKEN_REQUIRED,
    TOKEN_REVERSED,
    TOKEN_TRUE,
    TOKEN_WITH,
    TOKEN_WORD,
    Token,
)

# In python-liquid's own pattern `$` matches before the last line end too, which `-%}` further up then takes away; and
# `{% raw -%}` takes the white space behind `{% endraw %}` away, in the place of `{% endraw -%}`.
_PATTERN: Final = compile_liquid_rules().pattern.replace("|$)", r"|\Z)")
_MENDED: Final = re.sub("P<rsr(_e)?>", lambda found: "P<rsr>" if found[1] else "P<rsr_e>", _PATTERN)
LEXER: Final[Callable[[str], Iterator[Token]]] = partial(_tokenize_template, rules=re.compile(_MENDED, re.DOTALL))
"""From a template to its tags and texts."""

LITERALS: Final = frozenset({TOKEN_NIL, TOKEN_NULL, TOKEN_TRUE, TOKEN_FALSE, TOKEN_BLANK, TOKEN_EMPTY})
NEVER_KEYWORDS: Final = frozenset({TOKEN_AS, TOKEN_WITH, TOKEN_FOR, TOKEN_REQUIRED, TOKEN_IF, TOKEN_ELSE, TOKEN_NOT})
CONNECTIVES: Final = frozenset({TOKEN_AND, TOKEN_OR, TOKEN_CONTAINS})
LOOP_BEGINS: Final = 2
"""The place of the list in `item in list limit: 1`."""
BEFORE_VALUES: Final = CONNECTIVES | {
    TOKEN_COLON,
    TOKEN_COMMA,
    TOKEN_ASSIGN,
    TOKEN_LBRACKET,
    TOKEN_RANGE,
    TOKEN_RANGE_LITERAL,
    TOKEN_EQ,
    TOKEN_GE,
    TOKEN_GT,
    TOKEN_LE,
    TOKEN_LG,
    TOKEN_LT,
    TOKEN_NE,
}
KEYWORDS: Final = (
    LITERALS
    | NEVER_KEYWORDS
    | CONNECTIVES
    | {TOKEN_IN, TOKEN_LIMIT, TOKEN_OFFSET, TOKEN_COLS, TOKEN_REVERSED, TOKEN_CONTINUE}
)


def read_names(source: str, parent_token: Token) -> Iterator[Token]:
    """The tokens of an expression, where words such as `limit` or `in` are names wherever the reference says so.

    A field of a contact may have any of these names.
    """
    tokens = list(tokenize(source, parent_token))
    for index, token in enumerate(tokens):
        if token.kind in KEYWORDS and _is_name(tokens, index):
            # In the list as well, for the word behind it.
            tokens[index] = Token(TOKEN_WORD, token.value, token.start_index, token.source)
    return iter(tokens)


def _is_name(tokens: list[Token], index: int) -> bool:
    kind = tokens[index].kind
    before = tokens[index - 1].kind if index else None
    behind = tokens[index + 1].kind if index + 1 < len(tokens) else None
    in_loop = len(tokens) > 1 and tokens[1].kind == TOKEN_IN and index > LOOP_BEGINS
    if before == TOKEN_DOT or kind in NEVER_KEYWORDS:
        return True
    if kind in CONNECTIVES:
        return before is None or before in BEFORE_VALUES
    attribute = in_loop and (behind == TOKEN_COLON or before not in BEFORE_VALUES)
    keyword = {
        TOKEN_IN: index == 1,
        TOKEN_LIMIT: attribute,
        TOKEN_OFFSET: attribute,
        TOKEN_COLS: attribute,
        TOKEN_REVERSED: in_loop and before not in BEFORE_VALUES,
        TOKEN_CONTINUE: before == TOKEN_COLON and tokens[index - 2].kind == TOKEN_OFFSET,
    }
    return not keyword.get(kind, True)


stream.tokenize = read_names  # type: ignore[attr-defined]  # python-liquid has no other way
output.tokenize = read_names  # type: ignore[attr-defined]  # the same
# The reference takes `blank` and `empty` as values of filters.
filtered.FILTER_TOKENS |= {TOKEN_BLANK, TOKEN_EMPTY}
