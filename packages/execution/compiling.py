"""From an operation to a plan: the fields that it selects, the functions that execute them.

What is selected depends on the values of variables only where `@skip` or `@include` look at them, so a plan is made
under given values of those (graphql-core itself collects the fields), and serves all executions in which they are the
same.
"""

import re
import time
from collections.abc import Iterable
from datetime import UTC
from itertools import count
from threading import Lock
from types import CoroutineType
from typing import Any, Final, Protocol

from graphql import (
    GraphQLField,
    GraphQLList,
    GraphQLObjectType,
    OperationType,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet, collect_fields, collect_subfields
from graphql.execution.values import VariableValues

from execution.arguments import settle_arguments
from execution.bulk import given_up
from execution.completing import abandon_items, completer, execute_by_graphql_core, settle_made, settle_made_item
from execution.leaves import DATA, PLAIN
from execution.objects import ObjectPlan
from execution.positions import Position, fail, fail_item, guard, guard_item, settle, settle_item
from execution.reading import read_property
from execution.refusals import Refused
from execution.run import Field, Run, joined, joined_items, serially
from execution.selections import Nodes
from execution.writing import lines_of_list, lines_of_object, lines_of_steps

MOST_FIELDS: Final = 250  # some 25 ms of compiling, during which nothing else runs
MOST_DEPTH: Final = 50
MOST_LOOKS: Final = 30_000  # at selections, to see which fields objects have: some 50 ms
NAME = re.compile("[_A-Za-z][_0-9A-Za-z]*")
PLAN_NUMBERS = count(1)
WORDS: dict[str, Any] = {
    "Coroutine": CoroutineType,
    "settle": settle,
    "settle_item": settle_item,
    "guard": guard,
    "guard_item": guard_item,
    "fail": fail,
    "fail_item": fail_item,
    "settle_made": settle_made,
    "settle_made_item": settle_made_item,
    "joined": joined,
    "joined_items": joined_items,
    "abandon_items": abandon_items,
    "read_property": read_property,
    "given_up": given_up,
    "PLAIN": PLAIN,
    "DATA": DATA,
    "UTC": UTC,
}


class Ledger(Protocol):
    """Who counts what is compiled after a plan was made: the concrete types of interfaces and unions."""

    def allows(self) -> bool:
        """Whether there is time."""

    def spent(self, seconds: float, fields: int) -> None:
        """Take the time, and make room for the fields."""

    def failed(self, error: Exception) -> None:
        """Report a fault."""


class Plan:
    """A compiled operation: `execute(run, root)` gives its data, or a coroutine of it, or raises `GraphQLError`."""

    __slots__ = ("compilation", "execute", "serial")

    def __init__(self, compilation: "Compilation") -> None:
        self.compilation = compilation
        self.serial = compilation.operation.operation is OperationType.MUTATION
        self.execute = compilation.root()

    @property
    def source(self) -> str:
        """The generated code so far; concrete types of interfaces and unions are added when they come up."""
        return "\n".join(self.compilation.written)


class Compilation:
    """Writes the functions of one plan, all of them in one namespace that holds nothing else."""

    def __init__(
        self,
        run: Run,
        *,
        custom_default: bool,
        conditions: Iterable[str] = (),
        selections: int = 1,
        ledger: Ledger | None = None,
    ) -> None:
        self.schema = run.schema
        self.fragments = run.fragments
        # Nothing else of the request that happened to come first: a plan lives long.
        coerced = run.variable_values.coerced
        self.variable_values = VariableValues({}, {name: coerced[name] for name in conditions if name in coerced})
        self.ledger = ledger
        self.operation = run.operation
        self.hide_suggestions = run.hide_suggestions
        self.custom_default = custom_default
        self.natives = run.natives
        self.name = f"<plan {next(PLAN_NUMBERS)}>"
        self.numbers = count()
        self.looks = MOST_LOOKS // max(selections, 1)  # each of them may be at all selections
        self.depth = 0
        self.fields = 0
        self.repeated = 0  # fields written once more, in functions of lists
        self.kept: list[Any] = []  # what is known by its id here has to live on
        self.found: dict[tuple[str, int], ObjectPlan] = {}
        self.objects: dict[tuple[Any, ...], ObjectPlan] = {}
        self.on_demand: dict[tuple[str, int], ObjectPlan] = {}
        self.lists: dict[tuple[Field, int], tuple[Position, str]] = {}
        self.lines: list[str] = []
        self.written: list[str] = []
        self.new_plans: list[ObjectPlan] = []
        self.namespace: dict[str, Any] = dict(WORDS)
        self.lock = Lock()

    def constant(self, prefix: str, value: Any) -> str:
        """A name for the value in the plan's namespace."""
        name = f"{prefix}{next(self.numbers)}"
        self.namespace[name] = value
        return name

    def root(self) -> Any:
        """The function that executes the operation; raises `Refused`, or the `GraphQLError` of collecting fields."""
        type_ = self.schema.get_root_type(self.operation.operation)
        if type_ is None:
            raise Refused("no such root type")
        collected = collect_fields(
            self.schema, self.fragments, self.variable_values, type_, self.operation, self.hide_suggestions
        )
        if len(collected.grouped_field_set) > MOST_FIELDS:
            raise Refused("too large")
        if self.operation.operation is OperationType.MUTATION:
            self.fields += len(collected.grouped_field_set)
            plan = ObjectPlan(type_, "")
            lines, steps = lines_of_steps(self, plan, collected.grouped_field_set)
            self.lines += lines
            self.write()
            functions = [(key, self.namespace[name]) for key, name in steps]
            return lambda run, source, _path: serially(run, source, functions)
        plan = self.object_with(type_, collected.grouped_field_set)
        self.write()
        return plan.execute

    def write(self) -> None:
        """Turn the lines into functions."""
        if not self.lines:
            return
        source = "\n".join(self.lines)
        self.lines = []
        self.written.append(source)
        exec(compile(source, self.name, "exec"), self.namespace)  # noqa: S102 - of our own words and checked names
        for plan in self.new_plans:
            plan.execute = self.namespace[plan.name]
        self.new_plans = []

    def object_of(self, type_: GraphQLObjectType, details: FieldDetailsList) -> ObjectPlan:
        """The plan of the fields' selection on the type; past the limits, graphql-core is to execute it."""
        key = (type_.name, id(details))
        plan = self.found.get(key)
        if plan is None:
            plan = self.found[key] = self.object_looked_up(type_, details)
            self.kept.append(details)
        return plan

    def object_looked_up(self, type_: GraphQLObjectType, details: FieldDetailsList) -> ObjectPlan:
        """The same, before it is known; past the limits, not even what is selected is worked out."""
        if self.looks <= 0 or self.fields >= MOST_FIELDS or self.depth >= MOST_DEPTH:
            return self.left_to_core(type_, details)
        self.looks -= 1
        collected = collect_subfields(
            self.schema,
            self.fragments,
            self.variable_values,
            self.operation,
            type_,
            details,
            self.hide_suggestions,
        )
        if self.fields + len(collected.grouped_field_set) > MOST_FIELDS:
            return self.left_to_core(type_, details)
        return self.object_with(type_, collected.grouped_field_set)

    def object_with(self, type_: GraphQLObjectType, fields: GroupedFieldSet) -> ObjectPlan:
        """The plan of these fields; the same fields of the same type share one."""
        key = (type_.name, tuple((name, tuple(id(part.node) for part in parts)) for name, parts in fields.items()))
        plan = self.objects.get(key)
        if plan is None:
            plan = self.objects[key] = ObjectPlan(type_, f"o{next(self.numbers)}")
            self.kept.append(fields)
            self.new_plans.append(plan)
            self.fields += len(fields)
            self.depth += 1
            try:
                self.lines += lines_of_object(self, plan, fields)
            finally:
                self.depth -= 1
        return plan

    def object_on_demand(self, type_: GraphQLObjectType, details: FieldDetailsList) -> ObjectPlan:
        """The plan for a concrete type of an interface or union, written when it is first met."""
        key = (type_.name, id(details))
        plan = self.on_demand.get(key)
        return self.object_written(type_, details, key) if plan is None else plan

    def object_written(self, type_: GraphQLObjectType, details: FieldDetailsList, key: tuple[str, int]) -> ObjectPlan:
        """Write that plan, unless another thread has; graphql-core stands in where that fails, or has to wait."""
        with self.lock:
            plan = self.on_demand.get(key)
            if plan is not None:
                return plan
            if self.ledger is not None and not self.ledger.allows():
                return self.left_to_core(type_, details)
            started, fields = time.perf_counter(), self.fields + self.repeated
            found, objects, lists = set(self.found), set(self.objects), set(self.lists)
            try:
                plan = self.object_of(type_, details)
                self.write()
            except Exception as error:  # noqa: BLE001 - the operation is under way: it must not be lost by this
                for written, before in ((self.found, found), (self.objects, objects), (self.lists, lists)):
                    for half in [each for each in written if each not in before]:
                        del written[half]
                self.lines, self.new_plans = [], []
                plan = self.left_to_core(type_, details)
                if self.ledger is not None:
                    self.ledger.failed(error)
            self.kept.append(details)
            self.on_demand[key] = plan
            if self.ledger is not None:
                self.ledger.spent(time.perf_counter() - started, self.fields + self.repeated - fields)
            return plan

    def left_to_core(self, type_: GraphQLObjectType, details: FieldDetailsList) -> ObjectPlan:
        """A plan for a selection that graphql-core executes."""
        plan = ObjectPlan(type_, "")
        plan.rows = []
        plan.execute = execute_by_graphql_core(plan, details)
        plan.name = self.constant("o", plan.execute)
        return plan

    def list_of(self, field: Field, type_: GraphQLList[Any]) -> tuple[Position, str]:
        """The position of the list's items, and the name of the function that completes an iterable of them."""
        key = (field, id(type_))
        found = self.lists.get(key)
        if found is None:
            item = Position(field, type_.of_type, completer(self, field, type_.of_type))
            found = self.lists[key] = (item, f"l{next(self.numbers)}")
            self.lines += lines_of_list(self, found[1], field, item, type_.of_type)
        return found

    def field_of(self, parent: GraphQLObjectType, key: str, details: FieldDetailsList) -> Field | None:
        """The field, or None where the type has no such field (then it is left out of the answer)."""
        nodes = Nodes(part.node for part in details)
        if not NAME.fullmatch(key) or not NAME.fullmatch(nodes[0].name.value):
            raise Refused("odd names")
        definition: GraphQLField | None = self.schema.get_field(parent, nodes[0].name.value)
        if definition is None:
            return None
        field = Field(key, details, nodes, definition, parent)
        settle_arguments(field)
        return field
