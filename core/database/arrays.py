"""Arrays as bind parameters that a statement reads as rows: one prepared statement for any number of rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Subquery, bindparam, func, select
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.types import TypeEngine


def array_rows(**columns: TypeEngine[Any]) -> Subquery:
    """The bind parameters `<column>_values`, arrays of equal length, as rows in the order of the arrays.

    Not with unnest(), for which a generic plan estimates ten rows and so chooses nested loops; for
    generate_subscripts() it estimates a thousand.
    """
    arrays = {name: Grouping(bindparam(f"{name}_values", type_=ARRAY(kind))) for name, kind in columns.items()}
    index = func.generate_subscripts(next(iter(arrays.values())), 1).column_valued("index")
    return select(*(array[index].label(name) for name, array in arrays.items())).subquery("input")


def array_values(**columns: Sequence[Any]) -> dict[str, list[Any]]:
    """The bind parameters for `array_rows`."""
    return {f"{name}_values": list(values) for name, values in columns.items()}
