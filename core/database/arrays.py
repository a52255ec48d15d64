"""Bound arrays as the rows of a statement, so that one prepared statement serves any number of rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Subquery, bindparam, func, select
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.types import TypeEngine


def array_rows(**columns: TypeEngine[Any]) -> Subquery:
    """The bound arrays `<column>_values`, all of one length, as rows in their order.

    Not by unnest(), which a generic plan takes for ten rows, and then joins with loops within loops; of
    generate_subscripts() it expects a thousand.
    """
    arrays = {name: Grouping(bindparam(f"{name}_values", type_=ARRAY(kind))) for name, kind in columns.items()}
    place = func.generate_subscripts(next(iter(arrays.values())), 1).column_valued("place")
    return select(*(array[place].label(name) for name, array in arrays.items())).subquery("given")


def array_values(**columns: Sequence[Any]) -> dict[str, list[Any]]:
    """The parameters of `array_rows`."""
    return {f"{name}_values": list(values) for name, values in columns.items()}
