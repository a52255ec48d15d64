"""Bulk functions: lists of rows, completed in one call when every value has the expected type.

Most lists contain rows of one class (where a type has several, the first one registered) whose columns go into the
response unchanged. For these a second function is generated, which only checks each value and builds the response. At
any value that it does not expect it bails out, and the general function processes the list from the start. Reading a
row has no side effects, so starting again changes nothing.
"""

from datetime import datetime
from itertools import count
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLEnumType,
    GraphQLOutputType,
    GraphQLScalarType,
    get_nullable_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetailsList

from execution.arguments import has_arguments
from execution.field_sources import determine_source
from execution.leaves import BUILT_IN_COERCIONS, BUILT_IN_TESTS, enum_names
from execution.rows import EnumMembers, RowReader

if TYPE_CHECKING:
    from execution.compiling import Compilation
    from execution.run import Field

Lines = list[str]
MAX_BULK_FIELDS = 500  # in all bulk functions of a plan


class _BulkImpossible(Exception):
    """The selection contains more than columns of rows."""


class _BulkGenerator:
    """Generates one bulk function."""

    def __init__(self, compilation: "Compilation") -> None:
        self.compilation = compilation
        self.variable_numbers = count()
        self.lines: Lines = []

    def function(self, name: str, type_: GraphQLOutputType, details: FieldDetailsList) -> Lines:
        """The lines of the function; raises `_BulkImpossible`."""
        expression = self.nullable_object(type_, details, "item")
        loop = [*self.lines, f"push({expression})"]
        return [
            f"def {name}(items):",
            "    done = []",
            "    push = done.append",
            "    for item in items:",
            *("        " + line for line in loop),
            "    return done",
            "",
        ]

    def nullable_object(self, type_: GraphQLOutputType, details: FieldDetailsList, source: str) -> str:
        """Add checks of an object or null in the variable `source`; returns the expression of its result."""
        if is_non_null_type(type_):
            return self.object(type_.of_type, details, source)
        before, self.lines = self.lines, []
        expression = self.object(type_, details, source)
        present = [*self.lines, f"{source} = {expression}"]
        self.lines = [*before, f"if {source} is not None:", *("    " + line for line in present)]
        return source

    def object(self, type_: GraphQLOutputType, details: FieldDetailsList, source: str) -> str:
        """Add checks of the object in the variable `source`; returns the expression of its fields."""
        function = self.compilation.object_function(type_, details) if is_object_type(type_) else None
        if function is None or not function.row_readers or not function.fields:
            raise _BulkImpossible
        self.compilation.bulk_field_count += len(function.fields)
        if self.compilation.bulk_field_count > MAX_BULK_FIELDS:
            raise _BulkImpossible
        reader = function.row_readers[0]
        self.bail_out_if(f"type({source}) is not {self.compilation.add_constant('R', reader.row)}")
        entries = [f"{key!r}: {self.field(field, reader, source)}" for key, field in function.fields.items()]
        return "{" + ", ".join(entries) + "}"

    def field(self, field: "Field", reader: RowReader, source: str) -> str:
        """Add checks of a field; returns the expression of its value."""
        field_source = determine_source(
            field.definition,
            field.name,
            self.compilation.schema,
            has_arguments=has_arguments(field),
            custom_default=self.compilation.custom_default,
        )
        if field_source.kind == "typename":
            return repr(field.parent.name)
        if field_source.kind != "column" or field_source.name not in reader.columns:
            raise _BulkImpossible
        index, convert = reader.columns[field_source.name]
        variable = f"v{next(self.variable_numbers)}"
        self.lines.append(f"{variable} = {source}[{index:d}]")
        if is_object_type(get_nullable_type(field.type)) and convert is None:
            return self.nullable_object(field.type, field.details, variable)
        return self.leaf(field.type, convert, variable)

    def leaf(self, type_: GraphQLOutputType, convert: Any, v: str) -> str:
        """Add checks of a leaf in the variable `v`; returns the expression of its value."""
        named: Any = get_nullable_type(type_)
        nullable = not is_non_null_type(type_)
        members = getattr(convert, "__self__", None)
        if isinstance(named, GraphQLEnumType) and type(members) is EnumMembers:
            return self.enum(named, members, v, nullable=nullable)
        if convert is not None:
            call = f"{v} = {self.compilation.add_constant('C', convert)}({v})"
            if not nullable:
                self.bail_out_if(f"{v} is None")
            self.lines += [f"if {v} is not None:", f"    {call}"] if nullable else [call]
        test = self.test(named, v)
        result = "None" if convert is None else f"bail_out({v})"
        self.bail_out_if(f"not ({v} is None or {test})" if nullable else f"not ({test})", result)
        return v

    def test(self, named: Any, v: str) -> str:
        """The test for values that go into the response unchanged."""
        if named in BUILT_IN_TESTS and named.coerce_output_value is BUILT_IN_COERCIONS[named]:
            return BUILT_IN_TESTS[named].format(v)
        encoded_class = (
            self.compilation.encoder_scalars.get(named.name) if isinstance(named, GraphQLScalarType) else None
        )
        if encoded_class is None:
            raise _BulkImpossible
        test = f"type({v}) is {self.compilation.add_constant('N', encoded_class)}"
        return f"{test} and {v}.tzinfo is UTC" if encoded_class is datetime else test

    def enum(self, named: GraphQLEnumType, members: EnumMembers, v: str, *, nullable: bool) -> str:
        """Map the value in the row to the name in the response in one lookup."""
        by_identity, _, _ = enum_names(named)
        names: dict[Any, str | None] = {
            value: by_identity[id(member)]
            for value, member in members.items()
            if value is not None and id(member) in by_identity
        }
        if nullable:
            names[None] = None
        find = self.compilation.add_constant("E", names.get)
        self.lines.append(f"{v} = {find}({v}, PLAIN_TYPES)")
        self.bail_out_if(f"{v} is PLAIN_TYPES")
        return v

    def bail_out_if(self, test: str, result: str = "None") -> None:
        """Make the function return None where the test is true."""
        self.lines += [f"if {test}:", f"    return {result}"]


def bail_out(value: Any) -> None:
    """Return None for a converted value, which the general function converts again; closes a coroutine."""
    if type(value) is CoroutineType:
        value.close()


def generate_bulk(
    compilation: "Compilation", name: str, type_: GraphQLOutputType, details: FieldDetailsList
) -> Lines:
    """The lines of a function that completes a list of rows or returns None; no lines where it is impossible."""
    try:
        return _BulkGenerator(compilation).function(name, type_, details)
    except _BulkImpossible:
        return []
