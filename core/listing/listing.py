"""The reads of one type of row: by id, by page, and counts, each in one statement that is prepared once."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar, TypeVarTuple
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, bindparam, column, func, select, true
from sqlalchemy.orm import InstrumentedAttribute

from core.database.prepared import ProjectionCache, prepare, project
from core.database.scopes import Reader
from core.errors import NotFound
from core.listing.conditions import EVERYTHING, Condition
from core.listing.fields import Fields, compile_condition
from core.listing.orders import Order
from core.listing.pages import Page, PageRequest, page_of, page_parameters, paged
from core.unit_of_work import UnitOfWork

R = TypeVar("R", bound=tuple[Any, ...])
Ts = TypeVarTuple("Ts")
NO_FIELDS: Final[Fields] = {}
PARENTS: Final = (
    func.unnest(bindparam("parents", type_=ARRAY(Uuid)))
    .table_valued(column("id", Uuid), name="parents")
    .render_derived()
)


class Listing(Generic[R]):
    """Reads rows of `model` as the named tuple `row`, whose fields are columns.

    Rows can be filtered by `fields` and sorted by `orders`; `order` is the default order. `noun` is for messages. For
    rows that belong to a parent, `parent` is the column with the parent's id: `pages_of` and `counts_of` are for each
    parent. `by_ids` selects the rows with the ids in the array parameter `wanted`, if the id alone is not a key of
    the table.
    """

    def __init__(
        self,
        row: type[R],
        model: type[Any],
        fields: Fields = NO_FIELDS,
        *,
        noun: str,
        order: Order[Any],
        orders: Mapping[str, Order[Any]] | None = None,
        id_field: tuple[str, ...] = (),
        parent: InstrumentedAttribute[UUID] | None = None,
        by_ids: Select[*tuple[Any, ...]] | None = None,
    ) -> None:
        self.row = row
        self.model = model
        self.fields = fields
        self.noun = noun
        self.order = order
        self.orders = orders or {}
        self.id_field = id_field
        self.parent = parent
        names: tuple[str, ...] = row._fields  # type: ignore[attr-defined] # a named tuple has them
        self._id_index = names.index("id")
        self.columns: tuple[InstrumentedAttribute[Any], ...] = tuple(getattr(model, name) for name in names)
        self.select = select(*self.columns)
        wanted_id = bindparam("wanted", type_=Uuid)
        by_id = self.select.where(model.id == wanted_id)
        self._by_id = prepare(by_id) if by_ids is None else None
        self._by_id_locked = by_id.with_for_update(key_share=True)  # rows may refer to it meanwhile
        if by_ids is None:
            by_ids = self.select.where(model.id == func.any(bindparam("wanted", type_=ARRAY(Uuid))))
        self._by_ids = prepare(by_ids)
        self._count = prepare(select(func.count().label("rows")).select_from(model))
        self._counts = None
        if parent is not None:
            within = parent == func.any(bindparam("parents", type_=ARRAY(Uuid)))
            self._counts = prepare(select(parent, func.count().label("rows")).where(within).group_by(parent))
        self._pages = ProjectionCache()
        self._pages_of: dict[tuple[object, ...], Select[*tuple[Any, ...]]] = {}

    async def get(self, reads: Reader, id_: UUID) -> R | None:
        """The tenant's row with this id, or None."""
        if self._by_id is None:
            return (await self.by_ids(reads, [id_])).get(id_)
        rows = await reads.rows_as(self.row, self._by_id, {"wanted": id_})
        return rows[0] if rows else None

    async def require(self, reads: Reader, id_: UUID | None, field: tuple[str, ...] | None = None) -> R:
        """The tenant's row with this id; raises `NotFound`, also for another tenant's id and for None."""
        row = await self.get(reads, id_) if id_ else None
        if row is None:
            raise self.not_found(field)
        return row

    async def lock(self, uow: UnitOfWork, id_: UUID | None, field: tuple[str, ...] | None = None) -> R:
        """As `require`, with the row locked until the unit of work ends."""
        rows = await uow.rows_as(self.row, self._by_id_locked, {"wanted": id_}) if id_ else []
        if not rows:
            raise self.not_found(field)
        return rows[0]

    def not_found(self, field: tuple[str, ...] | None = None) -> NotFound:
        """The error for an id without a row of the tenant, at `field` of the input."""
        return NotFound(f"There is no such {self.noun}.", field=self.id_field if field is None else field)

    async def by_ids(self, reads: Reader, ids: Sequence[UUID]) -> dict[UUID, R]:
        """The tenant's rows among these ids."""
        rows = await reads.rows_as(self.row, self._by_ids, {"wanted": list(ids)})
        return {row[self._id_index]: row for row in rows}

    async def page(
        self,
        reads: Reader,
        request: PageRequest,
        order: Order[Any] | None = None,
        condition: Condition = EVERYTHING,
        *,
        columns: frozenset[str] | None = None,
    ) -> Page[R]:
        """A page of the rows that match the condition; raises `CursorInvalid`.

        With `columns`, only these and the order's are sure to be read; any other may be None in the rows.
        """
        order = order or self.order
        statement = self.page_statement(order, request, condition, columns)
        rows = await reads.rows_as(self.row, statement, page_parameters(order, request))
        return page_of(rows, order, request)

    def page_statement(
        self,
        order: Order[Any],
        request: PageRequest,
        condition: Condition = EVERYTHING,
        columns: frozenset[str] | None = None,
    ) -> Select[*tuple[Any, ...]]:
        """The statement of a page, for `page_parameters`; prepared if there is no condition."""
        build = partial(self._page_of, order, request, condition)
        if condition is not EVERYTHING:
            return build(columns)
        return self._pages.get(_shape(order, request), build, columns)

    def _page_of(
        self, order: Order[Any], request: PageRequest, condition: Condition, columns: frozenset[str] | None
    ) -> Select[*tuple[Any, ...]]:
        return paged(self._where(self._projected(order, columns), condition), order, request)

    async def pages_of(
        self,
        reads: Reader,
        parents: Sequence[UUID],
        request: PageRequest,
        condition: Condition = EVERYTHING,
    ) -> dict[UUID, Page[R]]:
        """The same page for each parent, in the default order, in one statement; raises `CursorInvalid`."""
        if self.parent is None:
            raise self._without_parent()
        parameters = {"parents": list(parents), **page_parameters(self.order, request)}
        rows_of: dict[UUID, list[R]] = {parent_id: [] for parent_id in parents}
        index = self.row._fields.index(self.parent.key)  # type: ignore[attr-defined] # as above
        for row in await reads.rows_as(self.row, self.pages_statement(request, condition), parameters):
            rows_of[row[index]].append(row)
        return {parent_id: page_of(rows, self.order, request) for parent_id, rows in rows_of.items()}

    def pages_statement(self, request: PageRequest, condition: Condition = EVERYTHING) -> Select[*tuple[Any, ...]]:
        """The statement of `pages_of`; its parameter `parents` is an array of ids."""
        if condition is not EVERYTHING:
            return self._pages_within(request, condition)
        shape = _shape(self.order, request)
        statement = self._pages_of.get(shape)
        if statement is None:
            statement = self._pages_of[shape] = prepare(self._pages_within(request, condition))
        return statement

    def _pages_within(self, request: PageRequest, condition: Condition) -> Select[*tuple[Any, ...]]:
        statement = self._where(self.select, condition).where(PARENTS.c.id == self.parent)
        rows = paged(statement, self.order, request).correlate(PARENTS).lateral("rows")
        return select(rows).select_from(PARENTS.join(rows, true()))

    async def count(self, reads: Reader, condition: Condition = EVERYTHING) -> int:
        """The number of rows that match the condition."""
        rows = await reads.rows(self._where(self._count, condition))
        return int(rows[0][0])

    async def counts_of(
        self, reads: Reader, parents: Sequence[UUID], condition: Condition = EVERYTHING
    ) -> dict[UUID, int]:
        """The number of each parent's rows that match the condition, in one statement."""
        if self._counts is None:
            raise self._without_parent()
        rows = await reads.rows(self._where(self._counts, condition), {"parents": list(parents)})
        counted: dict[UUID, int] = {row[0]: row[1] for row in rows}
        return {parent: counted.get(parent, 0) for parent in parents}

    def _where(self, statement: Select[*Ts], condition: Condition) -> Select[*Ts]:
        return statement if condition is EVERYTHING else statement.where(compile_condition(condition, self.fields))

    def _without_parent(self) -> TypeError:
        return TypeError(f"the listing of {self.noun} has no parent column")

    def _projected(self, order: Order[Any], columns: frozenset[str] | None) -> Select[*tuple[Any, ...]]:
        """The SELECT with NULL in place of the columns that are not needed; those of the order stay."""
        if columns is None:
            return self.select
        return select(*project(self.columns, columns | {order.key.key, order.id.key}))


def _shape(order: Order[Any], request: PageRequest) -> tuple[object, ...]:
    """What distinguishes the statements of a listing's pages, apart from columns and conditions."""
    return order.tag, order.descending, request.backward, request.after is None, request.before is None
