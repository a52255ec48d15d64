"""Statements that are built once and run often: compiled for asyncpg at import, with the tenant's settings.

They are written with SQLAlchemy, and use its types and rows. Its overhead for each execution (cache look-up,
greenlet, cursor, result metadata) is paid once for each statement.
"""

from collections import OrderedDict
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVarTuple

import asyncpg
from sqlalchemy import ColumnElement, Row, Select, cast, null
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.engine import result_tuple
from sqlalchemy.orm import InstrumentedAttribute

from core.database.tenant import with_tenant

Ts = TypeVarTuple("Ts")
DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]
MAX_PROJECTIONS = 200

Processor = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSelect:
    """The SQL of a statement for asyncpg, with the encoders of its parameters and the decoders of its columns."""

    sql: str
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    processors: tuple[tuple[int, Processor], ...]
    defaults: Mapping[str, Any]
    columns: tuple[Processor | None, ...] | None
    row: Callable[[Iterable[Any]], Row[*tuple[Any, ...]]]

    def arguments(self, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """The encoded parameters in the statement's order; raises `KeyError` for a missing one."""
        picked = self.pick({**self.defaults, **parameters} if self.defaults else parameters)
        if not self.processors:
            return picked
        values = list(picked)
        for index, process in self.processors:
            values[index] = process(values[index])
        return values

    def values(self, records: Sequence[asyncpg.Record]) -> Sequence[Iterable[Any]]:
        """The decoded values of records."""
        columns = self.columns
        if columns is None:
            return records
        return [
            [each if process is None else process(each) for process, each in zip(columns, record, strict=True)]
            for record in records
        ]

    def rows(self, records: Sequence[asyncpg.Record]) -> list[Row[*tuple[Any, ...]]]:
        """The records as SQLAlchemy's rows."""
        return [self.row(values) for values in self.values(records)]


prepared_selects: dict[Select[*tuple[Any, ...]], PreparedSelect] = {}


def prepare(statement: Select[*Ts]) -> Select[*Ts]:
    """Register the compiled form of a statement, which reads then use; returns the statement itself.

    For statements that are built once and run often with other parameters: building one costs as much as running it.
    Raises as `compile_select`.
    """
    prepared_selects[statement] = compile_select(with_tenant(statement))
    return statement


def compile_select(statement: Select[*tuple[Any, ...]]) -> PreparedSelect:
    """Compile a statement for asyncpg; raises `ValueError` if its text depends on its parameters.

    That is so for `IN` with a list, but not for `= ANY` with an array.
    """
    compiled = statement.compile(dialect=DIALECT)
    if compiled.literal_execute_params or compiled.post_compile_params:
        raise ValueError(f"the text of this statement depends on its parameters: {compiled}")
    binds = compiled.binds
    order = compiled.positiontup or ()
    selected = statement.selected_columns
    columns = tuple(column.type.dialect_impl(DIALECT).result_processor(DIALECT, None) for column in selected)
    processors = [binds[name].type.dialect_impl(DIALECT).bind_processor(DIALECT) for name in order]
    return PreparedSelect(
        sql=str(compiled),
        pick=_picker(order),
        processors=tuple((index, process) for index, process in enumerate(processors) if process is not None),
        defaults={name: bind.effective_value for name, bind in binds.items() if not bind.required},
        columns=columns if any(columns) else None,
        row=result_tuple(selected.keys()),
    )


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """A function that returns the values of these names as a tuple."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


class ProjectionCache:
    """Prepared statements that differ in the columns they read, which depend on what a client selects.

    Clients may select any set of columns, and building a statement takes milliseconds. So the first request for a set
    of columns runs the statement that reads all columns, and the second one prepares a statement for that set. The
    200 most recently used ones are kept.
    """

    def __init__(self) -> None:
        self.whole: dict[Hashable, Select[*tuple[Any, ...]]] = {}
        self.narrow: OrderedDict[Hashable, Select[*tuple[Any, ...]]] = OrderedDict()
        self.seen_once: OrderedDict[Hashable, None] = OrderedDict()

    def get(
        self,
        form: Hashable,
        build: Callable[..., Select[*tuple[Any, ...]]],
        *columns: frozenset[str] | None,
    ) -> Select[*tuple[Any, ...]]:
        """The statement that `build` returns for these sets of columns, or for None: all columns.

        Both must return rows of the same length. `form` is everything else that distinguishes statements: it must
        have a limited number of values.
        """
        shape = (form, columns)
        statement = self.narrow.get(shape)
        if statement is not None:
            self.narrow.move_to_end(shape)
            return statement
        if any(each is not None for each in columns) and self._is_repeated(shape):
            return self._store(shape, build(*columns))
        statement = self.whole.get(form)
        if statement is None:
            statement = self.whole[form] = prepare(build(*(None for _ in columns)))
        return statement

    def _is_repeated(self, shape: Hashable) -> bool:
        """Whether the shape was requested before, among the last 200 shapes requested once."""
        if shape in self.seen_once:
            del self.seen_once[shape]
            return True
        self.seen_once[shape] = None
        if len(self.seen_once) > MAX_PROJECTIONS:
            self.seen_once.popitem(last=False)
        return False

    def _store(self, shape: Hashable, statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
        """Prepare and store the statement, evicting the least recently used one."""
        self.narrow[shape] = prepare(statement)
        if len(self.narrow) > MAX_PROJECTIONS:
            _, oldest = self.narrow.popitem(last=False)
            prepared_selects.pop(oldest, None)
        return statement


def project(
    columns: Iterable[ColumnElement[Any] | InstrumentedAttribute[Any]],
    selected: Container[str] | None,
    unread: str = "unread",
) -> list[ColumnElement[Any] | InstrumentedAttribute[Any]]:
    """The columns, with a typed NULL in place of each column that is not in `wanted`; None wants all columns.

    The NULLs are labeled `<unread>_<column>`; labels must be unique within a statement.
    """
    return [
        column
        if selected is None or column.key in selected
        else cast(null(), column.type).label(f"{unread}_{column.key}")
        for column in columns
    ]
