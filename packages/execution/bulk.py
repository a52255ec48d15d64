"""Lists of rows, completed in one call where every value is what it should be.

Most lists hold rows of one class (of several, the one that was registered first) whose columns go into the answer as
they are. For those a second function is generated that does nothing but look at each value and build the answer;
whatever it does not expect makes it give up, and the careful function takes the list from the start. Reading a row
has no effects, so nobody notices.
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
from execution.leaves import AS_IT_IS, UNCHANGED, names_of
from execution.reading import reading_of
from execution.rows import Members, RowReader

if TYPE_CHECKING:
    from execution.compiling import Compilation
    from execution.run import Field

Lines = list[str]
MOST_REPEATED = 500  # fields, in the functions of all lists of a plan


class Unsuited(Exception):
    """The selection has more to it than columns of rows."""


class Bulk:
    """Writes one such function."""

    def __init__(self, compilation: "Compilation") -> None:
        self.compilation = compilation
        self.numbers = count()
        self.lines: Lines = []

    def function(self, name: str, type_: GraphQLOutputType, details: FieldDetailsList) -> Lines:
        """The function; raises `Unsuited`."""
        display = self.object_or_null(type_, details, "item")
        loop = [*self.lines, f"push({display})"]
        return [
            f"def {name}(items):",
            "    done = []",
            "    push = done.append",
            "    for item in items:",
            *("        " + line for line in loop),
            "    return done",
            "",
        ]

    def object_or_null(self, type_: GraphQLOutputType, details: FieldDetailsList, source: str) -> str:
        """Look at what is in the variable `source`; what it comes to."""
        if is_non_null_type(type_):
            return self.object(type_.of_type, details, source)
        before, self.lines = self.lines, []
        display = self.object(type_, details, source)
        present = [*self.lines, f"{source} = {display}"]
        self.lines = [*before, f"if {source} is not None:", *("    " + line for line in present)]
        return source

    def object(self, type_: GraphQLOutputType, details: FieldDetailsList, source: str) -> str:
        """Look at the object in the variable `source`; what its fields come to."""
        plan = self.compilation.object_of(type_, details) if is_object_type(type_) else None
        if plan is None or not plan.rows or not plan.selected:
            raise Unsuited
        self.compilation.repeated += len(plan.selected)
        if self.compilation.repeated > MOST_REPEATED:
            raise Unsuited
        reader = plan.rows[0]
        self.unless(f"type({source}) is not {self.compilation.constant('R', reader.row)}")
        entries = [f"{key!r}: {self.field(field, reader, source)}" for key, field in plan.selected.items()]
        return "{" + ", ".join(entries) + "}"

    def field(self, field: "Field", reader: RowReader, source: str) -> str:
        """Look at a field; what it comes to."""
        reading = reading_of(
            field.definition,
            field.name,
            self.compilation.schema,
            has_arguments=has_arguments(field),
            custom_default=self.compilation.custom_default,
        )
        if reading.kind == "typename":
            return repr(field.parent.name)
        if reading.kind != "column" or reading.name not in reader.columns:
            raise Unsuited
        index, convert = reader.columns[reading.name]
        variable = f"v{next(self.numbers)}"
        self.lines.append(f"{variable} = {source}[{index:d}]")
        if is_object_type(get_nullable_type(field.type)) and convert is None:
            return self.object_or_null(field.type, field.details, variable)
        return self.leaf(field.type, convert, variable)

    def leaf(self, type_: GraphQLOutputType, convert: Any, v: str) -> str:
        """Look at a leaf."""
        named: Any = get_nullable_type(type_)
        nullable = not is_non_null_type(type_)
        members = getattr(convert, "__self__", None)
        if isinstance(named, GraphQLEnumType) and type(members) is Members:
            return self.enum(named, members, v, nullable=nullable)
        if convert is not None:
            call = f"{v} = {self.compilation.constant('C', convert)}({v})"
            if not nullable:
                self.unless(f"{v} is None")
            self.lines += [f"if {v} is not None:", f"    {call}"] if nullable else [call]
        test = self.test(named, v)
        answer = "None" if convert is None else f"given_up({v})"
        self.unless(f"not ({v} is None or {test})" if nullable else f"not ({test})", answer)
        return v

    def test(self, named: Any, v: str) -> str:
        """What holds of values that are data as they are."""
        if named in AS_IT_IS and named.coerce_output_value is UNCHANGED[named]:
            return AS_IT_IS[named].format(v)
        native = self.compilation.natives.get(named.name) if isinstance(named, GraphQLScalarType) else None
        if native is None:
            raise Unsuited
        test = f"type({v}) is {self.compilation.constant('N', native)}"
        return f"{test} and {v}.tzinfo is UTC" if native is datetime else test

    def enum(self, named: GraphQLEnumType, members: Members, v: str, *, nullable: bool) -> str:
        """From the value in the row to the name in the answer in one step."""
        by_identity, _, _ = names_of(named)
        names: dict[Any, str | None] = {
            value: by_identity[id(member)]
            for value, member in members.items()
            if value is not None and id(member) in by_identity
        }
        if nullable:
            names[None] = None
        find = self.compilation.constant("E", names.get)
        self.lines.append(f"{v} = {find}({v}, PLAIN)")
        self.unless(f"{v} is PLAIN")
        return v

    def unless(self, test: str, answer: str = "None") -> None:
        """Give up where the test holds."""
        self.lines += [f"if {test}:", f"    return {answer}"]


def given_up(value: Any) -> None:
    """The answer to what a conversion made and the careful function makes again: a coroutine is not to be missed."""
    if type(value) is CoroutineType:
        value.close()


def lines_of_bulk(
    compilation: "Compilation", name: str, type_: GraphQLOutputType, details: FieldDetailsList
) -> Lines:
    """The function of that name, which gives a list of rows completed, or None; nothing where there can be none."""
    try:
        return Bulk(compilation).function(name, type_, details)
    except Unsuited:
        return []
