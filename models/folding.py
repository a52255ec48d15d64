"""Comparing texts without regard to case, in the database and there alone, so that both sides are folded alike.

Python and PostgreSQL lower some letters differently (`İ`), and lower case is not enough for others: `Straße` and
`STRASSE`, `Σίσυφος` and `ΣΊΣΥΦΟΣ`. This is Unicode's compatibility caseless match, with the Turkish dotted and
dotless letters taken for `i`; it does not depend on the locale of the database. PostgreSQL 18 has `casefold`.
"""

from typing import Any

from sqlalchemy import ColumnElement, func, literal, literal_column, select
from sqlalchemy.sql import collate
from sqlalchemy.sql.elements import SQLCoreOperations

NFKC: Any = literal_column("'NFKC'")
NFKD: Any = literal_column("'NFKD'")
LETTER_I: Any = literal_column("'i'")
DOTLESS: Any = literal_column("chr(305)")
DOTTED: Any = literal_column("'i' || chr(775)")


def folded(text: Any) -> ColumnElement[str]:  # noqa: ANN401 - a text column or expression
    """The text as it is compared. Immutable, so that a generated column can hold it.

    Decomposed first, as an iota below a letter becomes a letter of its own, and the accents have to stay before it.
    """
    parts = func.pg_catalog.normalize(text, NFKD)
    caseless = func.replace(func.casefold(collate(parts, "pg_unicode_fast")), DOTLESS, LETTER_I)
    return func.pg_catalog.normalize(func.replace(caseless, DOTTED, LETTER_I), NFKC)


def folded_sql(text: str) -> str:
    """The same of an SQL expression, as SQL."""
    return str(folded(literal_column(text)).compile(compile_kwargs={"literal_binds": True}))


def holds(text: SQLCoreOperations[str], part: str) -> ColumnElement[bool]:
    """Whether a folded text holds a part, which is folded here, once for the statement."""
    return func.strpos(text, select(folded(literal(part))).scalar_subquery()) > 0
