"""Patches of python-liquid's lexer and parser, which accept less than the reference implementation and have no hooks.

Importing this module patches them for the whole process.
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

# In python-liquid's own pattern `$` also matches before the last line end, which an earlier `-%}` then removes; and
# `{% raw -%}` instead of `{% endraw -%}` removes the white space after `{% endraw %}`.
_PATTERN: Final = compile_liquid_rules().pattern.replace("|$)", r"|\Z)")
_PATCHED: Final = re.sub("P<rsr(_e)?>", lambda found: "P<rsr>" if found[1] else "P<rsr_e>", _PATTERN)
LEXER: Final[Callable[[str], Iterator[Token]]] = partial(_tokenize_template, rules=re.compile(_PATCHED, re.DOTALL))
"""Splits a template into tags and texts."""

_LITERALS: Final = frozenset({TOKEN_NIL, TOKEN_NULL, TOKEN_TRUE, TOKEN_FALSE, TOKEN_BLANK, TOKEN_EMPTY})
_NEVER_KEYWORDS: Final = frozenset({TOKEN_AS, TOKEN_WITH, TOKEN_FOR, TOKEN_REQUIRED, TOKEN_IF, TOKEN_ELSE, TOKEN_NOT})
_CONNECTIVES: Final = frozenset({TOKEN_AND, TOKEN_OR, TOKEN_CONTAINS})
_LOOP_BEGINS: Final = 2
"""The place of the list in `item in list limit: 1`."""
_BEFORE_VALUES: Final = _CONNECTIVES | {
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
_KEYWORDS: Final = (
    _LITERALS
    | _NEVER_KEYWORDS
    | _CONNECTIVES
    | {TOKEN_IN, TOKEN_LIMIT, TOKEN_OFFSET, TOKEN_COLS, TOKEN_REVERSED, TOKEN_CONTINUE}
)


def _read_names(source: str, parent_token: Token) -> Iterator[Token]:
    """The tokens of an expression, in which words such as `limit` or `in` are names where the reference allows it.

    Custom fields of contacts may have any of these names.
    """
    tokens = list(tokenize(source, parent_token))
    for index, token in enumerate(tokens):
        if token.kind in _KEYWORDS and _is_name(tokens, index):
            # Changed in the list, because the next token is classified by this one.
            tokens[index] = Token(TOKEN_WORD, token.value, token.start_index, token.source)
    return iter(tokens)


def _is_name(tokens: list[Token], index: int) -> bool:
    kind = tokens[index].kind
    before = tokens[index - 1].kind if index else None
    behind = tokens[index + 1].kind if index + 1 < len(tokens) else None
    in_loop = len(tokens) > 1 and tokens[1].kind == TOKEN_IN and index > _LOOP_BEGINS
    if before == TOKEN_DOT or kind in _NEVER_KEYWORDS:
        return True
    if kind in _CONNECTIVES:
        return before is None or before in _BEFORE_VALUES
    attribute = in_loop and (behind == TOKEN_COLON or before not in _BEFORE_VALUES)
    keyword = {
        TOKEN_IN: index == 1,
        TOKEN_LIMIT: attribute,
        TOKEN_OFFSET: attribute,
        TOKEN_COLS: attribute,
        TOKEN_REVERSED: in_loop and before not in _BEFORE_VALUES,
        TOKEN_CONTINUE: before == TOKEN_COLON and tokens[index - 2].kind == TOKEN_OFFSET,
    }
    return not keyword.get(kind, True)


stream.tokenize = _read_names  # type: ignore[attr-defined]  # python-liquid has no other way
output.tokenize = _read_names  # type: ignore[attr-defined]  # the same
# The reference accepts `blank` and `empty` as arguments of filters.
filtered.FILTER_TOKENS |= {TOKEN_BLANK, TOKEN_EMPTY}
