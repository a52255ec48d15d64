"""Compiles an operation to a plan: the fields that it selects, and the functions that execute them.

The selected fields depend on variables only through `@skip` and `@include`. So a plan is made for one combination of
the values of these variables, for which graphql-core collects the fields, and serves all executions with the same
values.
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

from execution.arguments import precompute_arguments
from execution.bulk import bail_out
from execution.codegen import generate_list, generate_object, generate_steps
from execution.completing import (
    abandon_items,
    completer,
    execute_by_graphql_core,
    settle_coerced,
    settle_coerced_item,
)
from execution.eligibility import NotCompilable
from execution.field_sources import read_property
from execution.leaves import JSON_TYPES, PLAIN_TYPES
from execution.objects import ObjectFunction
from execution.positions import Position, fail, fail_item, guard, guard_item, settle, settle_item
from execution.run import Field, PlanRun, execute_serially, join_fields, join_items
from execution.selections import PlanNodes

MAX_FIELDS: Final = 250  # some 25 ms of compiling, during which nothing else runs
MAX_DEPTH: Final = 50
MAX_SELECTION_VISITS: Final = 30_000  # while collecting the fields of objects: some 50 ms
NAME = re.compile("[_A-Za-z][_0-9A-Za-z]*")
PLAN_NUMBERS = count(1)
GLOBALS: dict[str, Any] = {
    "Coroutine": CoroutineType,
    "settle": settle,
    "settle_item": settle_item,
    "guard": guard,
    "guard_item": guard_item,
    "fail": fail,
    "fail_item": fail_item,
    "settle_coerced": settle_coerced,
    "settle_coerced_item": settle_coerced_item,
    "join_fields": join_fields,
    "join_items": join_items,
    "abandon_items": abandon_items,
    "read_property": read_property,
    "bail_out": bail_out,
    "PLAIN_TYPES": PLAIN_TYPES,
    "JSON_TYPES": JSON_TYPES,
    "UTC": UTC,
}


class CompilationMonitor(Protocol):
    """Permits, counts and reports what is compiled after a plan was made: concrete types of interfaces and unions."""

    def has_time(self) -> bool:
        """Whether compiling may take more time now."""

    def record(self, seconds: float, fields: int) -> None:
        """Count the time and the fields, and evict other plans if there are too many fields."""

    def report_failure(self, error: Exception) -> None:
        """Report an error of the compiler."""


class Plan:
    """A compiled operation: `execute(run, root)` gives its data, or a coroutine of it, or raises `GraphQLError`."""

    __slots__ = ("compilation", "execute", "serial")

    def __init__(self, compilation: "Compilation") -> None:
        self.compilation = compilation
        self.serial = compilation.operation.operation is OperationType.MUTATION
        self.execute = compilation.root()

    @property
    def source(self) -> str:
        """The generated code so far; concrete types of interfaces and unions are added when they first occur."""
        return "\n".join(self.compilation.sources)


class Compilation:
    """Generates and compiles the functions of one plan, in a namespace of their own."""

    def __init__(
        self,
        run: PlanRun,
        *,
        custom_default: bool,
        conditions: Iterable[str] = (),
        selections: int = 1,
        monitor: CompilationMonitor | None = None,
    ) -> None:
        self.schema = run.schema
        self.fragments = run.fragments
        # A plan outlives the request that it was made for, and must not refer to anything else of it.
        coerced = run.variable_values.coerced
        self.variable_values = VariableValues({}, {name: coerced[name] for name in conditions if name in coerced})
        self.monitor = monitor
        self.operation = run.operation
        self.hide_suggestions = run.hide_suggestions
        self.custom_default = custom_default
        self.encoder_scalars = run.encoder_scalars
        self.name = f"<plan {next(PLAN_NUMBERS)}>"
        self.name_numbers = count()
        self.collections_left = MAX_SELECTION_VISITS // max(selections, 1)  # each may visit all selections
        self.depth = 0
        self.field_count = 0
        self.bulk_field_count = 0  # fields that are generated again in bulk functions
        self.references: list[Any] = []  # keeps alive the objects whose ids are keys below
        self.functions_by_details: dict[tuple[str, int], ObjectFunction] = {}
        self.functions_by_fields: dict[tuple[Any, ...], ObjectFunction] = {}
        self.concrete_functions: dict[tuple[str, int], ObjectFunction] = {}
        self.list_functions: dict[tuple[Field, int], tuple[Position, str]] = {}
        self.lines: list[str] = []
        self.sources: list[str] = []
        self.new_functions: list[ObjectFunction] = []
        self.namespace: dict[str, Any] = dict(GLOBALS)
        self.lock = Lock()

    def add_constant(self, prefix: str, value: Any) -> str:
        """Add the value to the plan's namespace; returns its name there."""
        name = f"{prefix}{next(self.name_numbers)}"
        self.namespace[name] = value
        return name

    def root(self) -> Any:
        """The function that executes the operation; raises `NotCompilable`, or a `GraphQLError` of conditions."""
        type_ = self.schema.get_root_type(self.operation.operation)
        if type_ is None:
            raise NotCompilable("no such root type")
        collected = collect_fields(
            self.schema, self.fragments, self.variable_values, type_, self.operation, self.hide_suggestions
        )
        if len(collected.grouped_field_set) > MAX_FIELDS:
            raise NotCompilable("too large")
        if self.operation.operation is OperationType.MUTATION:
            self.field_count += len(collected.grouped_field_set)
            function = ObjectFunction(type_, "")
            lines, steps = generate_steps(self, function, collected.grouped_field_set)
            self.lines += lines
            self._compile_pending()
            functions = [(key, self.namespace[name]) for key, name in steps]
            return lambda run, source, _path: execute_serially(run, source, functions)
        function = self._object_function_for_fields(type_, collected.grouped_field_set)
        self._compile_pending()
        return function.execute

    def _compile_pending(self) -> None:
        """Compile the generated lines to functions."""
        if not self.lines:
            return
        source = "\n".join(self.lines)
        self.lines = []
        self.sources.append(source)
        exec(compile(source, self.name, "exec"), self.namespace)  # noqa: S102 - our own text with checked names
        for function in self.new_functions:
            function.execute = self.namespace[function.name]
        self.new_functions = []

    def object_function(self, type_: GraphQLObjectType, details: FieldDetailsList) -> ObjectFunction:
        """The function of a selection on an object type; beyond the limits, one that calls graphql-core."""
        key = (type_.name, id(details))
        function = self.functions_by_details.get(key)
        if function is None:
            function = self.functions_by_details[key] = self._make_object_function(type_, details)
            self.references.append(details)
        return function

    def _make_object_function(self, type_: GraphQLObjectType, details: FieldDetailsList) -> ObjectFunction:
        """Make the function of `object_function`; beyond the limits without collecting the fields."""
        if self.collections_left <= 0 or self.field_count >= MAX_FIELDS or self.depth >= MAX_DEPTH:
            return self._graphql_core_function(type_, details)
        self.collections_left -= 1
        collected = collect_subfields(
            self.schema,
            self.fragments,
            self.variable_values,
            self.operation,
            type_,
            details,
            self.hide_suggestions,
        )
        if self.field_count + len(collected.grouped_field_set) > MAX_FIELDS:
            return self._graphql_core_function(type_, details)
        return self._object_function_for_fields(type_, collected.grouped_field_set)

    def _object_function_for_fields(self, type_: GraphQLObjectType, fields: GroupedFieldSet) -> ObjectFunction:
        """The function of these fields; the same fields of the same type share one."""
        key = (type_.name, tuple((name, tuple(id(part.node) for part in parts)) for name, parts in fields.items()))
        function = self.functions_by_fields.get(key)
        if function is None:
            function = self.functions_by_fields[key] = ObjectFunction(type_, f"o{next(self.name_numbers)}")
            self.references.append(fields)
            self.new_functions.append(function)
            self.field_count += len(fields)
            self.depth += 1
            try:
                self.lines += generate_object(self, function, fields)
            finally:
                self.depth -= 1
        return function

    def concrete_function(self, type_: GraphQLObjectType, details: FieldDetailsList) -> ObjectFunction:
        """The function of a concrete type of an interface or union, compiled when the type first occurs."""
        key = (type_.name, id(details))
        function = self.concrete_functions.get(key)
        return self._compile_concrete_function(type_, details, key) if function is None else function

    def is_cached(self, function: ObjectFunction, details: FieldDetailsList) -> bool:
        """Whether the function of a concrete type is cached; it is not if there was no time to compile it."""
        return self.concrete_functions.get((function.type.name, id(details))) is function

    def _compile_concrete_function(
        self, type_: GraphQLObjectType, details: FieldDetailsList, key: tuple[str, int]
    ) -> ObjectFunction:
        """Compile the function of `concrete_function`, unless another thread has done so.

        If that fails or there is no time for it, the function calls graphql-core.
        """
        with self.lock:
            function = self.concrete_functions.get(key)
            if function is not None:
                return function
            if self.monitor is not None and not self.monitor.has_time():
                return self._graphql_core_function(type_, details)
            started, fields = time.perf_counter(), self.field_count + self.bulk_field_count
            detail_keys, objects, lists = (
                set(self.functions_by_details),
                set(self.functions_by_fields),
                set(self.list_functions),
            )
            try:
                function = self.object_function(type_, details)
                self._compile_pending()
            except Exception as error:  # noqa: BLE001 - the operation is being executed and must complete
                for plans, before in (
                    (self.functions_by_details, detail_keys),
                    (self.functions_by_fields, objects),
                    (self.list_functions, lists),
                ):
                    for incomplete in [each for each in plans if each not in before]:
                        del plans[incomplete]
                self.lines, self.new_functions = [], []
                function = self._graphql_core_function(type_, details)
                if self.monitor is not None:
                    self.monitor.report_failure(error)
            self.references.append(details)
            self.concrete_functions[key] = function
            if self.monitor is not None:
                self.monitor.record(time.perf_counter() - started, self.field_count + self.bulk_field_count - fields)
            return function

    def _graphql_core_function(self, type_: GraphQLObjectType, details: FieldDetailsList) -> ObjectFunction:
        """A function that executes the selection by graphql-core."""
        function = ObjectFunction(type_, "")
        function.row_readers = []
        function.execute = execute_by_graphql_core(function, details)
        function.name = self.add_constant("o", function.execute)
        return function

    def list_function(self, field: Field, type_: GraphQLList[Any]) -> tuple[Position, str]:
        """The position of the list's items, and the name of the function that completes an iterable of them."""
        key = (field, id(type_))
        function = self.list_functions.get(key)
        if function is None:
            item = Position(field, type_.of_type, completer(self, field, type_.of_type))
            function = self.list_functions[key] = (item, f"l{next(self.name_numbers)}")
            self.lines += generate_list(self, function[1], field, item, type_.of_type)
        return function

    def create_field(self, parent: GraphQLObjectType, key: str, details: FieldDetailsList) -> Field | None:
        """The field, or None where the type has no such field (the response then omits it)."""
        nodes = PlanNodes(part.node for part in details)
        if not NAME.fullmatch(key) or not NAME.fullmatch(nodes[0].name.value):
            raise NotCompilable("invalid names")
        definition: GraphQLField | None = self.schema.get_field(parent, nodes[0].name.value)
        if definition is None:
            return None
        field = Field(key, details, nodes, definition, parent)
        precompute_arguments(field)
        return field
