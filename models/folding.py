"""Case-insensitive comparison. Both sides are folded by the database, so that they are folded by the same rules.

Python and PostgreSQL lower-case some letters differently (`İ`), and lower-casing is not enough for others: `Straße`
and `STRASSE`, `Σίσυφος` and `ΣΊΣΥΦΟΣ`. This is Unicode's compatibility caseless match, with the Turkish dotted and
dotless letters treated as `i`. It does not depend on the locale of the database. `casefold` needs PostgreSQL 18.
"""

from typing import Any

from sqlalchemy import ColumnElement, func, literal, literal_column, select
from sqlalchemy.sql import collate
from sqlalchemy.sql.elements import SQLCoreOperations

_NFKC: Any = literal_column("'NFKC'")
_NFKD: Any = literal_column("'NFKD'")
_LETTER_I: Any = literal_column("'i'")
_DOTLESS: Any = literal_column("chr(305)")
_DOTTED: Any = literal_column("'i' || chr(775)")


def folded(text: Any) -> ColumnElement[str]:  # noqa: ANN401 - a text column or expression
    """The case-folded text. The expression is immutable, so that a generated column can use it.

    The text is decomposed first: folding turns an iota subscript into a letter, which must come after the accents.
    """
    parts = func.pg_catalog.normalize(text, _NFKD)
    caseless = func.replace(func.casefold(collate(parts, "pg_unicode_fast")), _DOTLESS, _LETTER_I)
    return func.pg_catalog.normalize(func.replace(caseless, _DOTTED, _LETTER_I), _NFKC)


def folded_sql(text: str) -> str:
    """`folded` of an SQL expression, as SQL."""
    return str(folded(literal_column(text)).compile(compile_kwargs={"literal_binds": True}))


def contains_folded(text: SQLCoreOperations[str], part: str) -> ColumnElement[bool]:
    """Whether a folded text contains the part. The part is folded once per statement, not once per row."""
    return func.strpos(text, select(folded(literal(part))).scalar_subquery()) > 0
