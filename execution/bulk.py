"""Lists of rows, completed at a stroke where every value is what it should be.

Most lists hold rows of one class whose columns go into the answer as they are. For those a second function is
generated that does nothing but look at each value and build the answer; whatever it does not expect makes it give up,
and the careful function takes the list from the start. Reading a row has no effects, so nobody notices.
"""

from datetime import datetime
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any

from graphql import GraphQLEnumType, GraphQLOutputType, get_nullable_type, is_non_null_type, is_object_type
from graphql.execution.collect_fields import FieldDetailsList

from execution.arguments import has_arguments
from execution.leaves import AS_IT_IS, UNCHANGED
from execution.reading import reading_of
from execution.rows import RowReader

if TYPE_CHECKING:
    from execution.compiling import Compilation
    from execution.run import Field

Lines = list[str]


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
        display = self.object(type_, details, "item")
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

    def object(self, type_: GraphQLOutputType, details: FieldDetailsList, source: str) -> str:
        """Look at the object in the variable `source`; what its fields come to."""
        named: Any = get_nullable_type(type_)
        plan = self.compilation.object_of(named, details) if is_object_type(named) else None
        if plan is None or len(plan.rows) != 1 or not plan.selected:
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
        if reading.kind != "attribute" or reading.name not in reader.columns:
            raise Unsuited
        index, convert = reader.columns[reading.name]
        variable = f"v{next(self.numbers)}"
        self.lines.append(f"{variable} = {source}[{index:d}]")
        if is_object_type(get_nullable_type(field.type)) and convert is None:
            return self.object(field.type, field.details, variable)
        return self.leaf(field.type, convert, variable)

    def leaf(self, type_: GraphQLOutputType, convert: Any, v: str) -> str:
        """Look at a leaf."""
        named: Any = get_nullable_type(type_)
        nullable = not is_non_null_type(type_)
        members = getattr(convert, "__self__", None)
        if isinstance(named, GraphQLEnumType) and isinstance(members, dict):
            return self.enum(named, members, v, nullable=nullable)
        if convert is not None:
            call = f"{v} = {self.compilation.constant('C', convert)}({v})"
            if not nullable:
                self.unless(f"{v} is None")
            self.lines += [f"if {v} is not None:", f"    {call}"] if nullable else [call]
        test = self.test(named, v)
        self.unless(f"not ({v} is None or {test})" if nullable else f"not ({test})")
        return v

    def test(self, named: Any, v: str) -> str:
        """What holds of values that are data as they are."""
        if named in AS_IT_IS and named.coerce_output_value is UNCHANGED[named]:
            return AS_IT_IS[named].format(v)
        native = self.compilation.natives.get(getattr(named, "name", ""))
        if native is None:
            raise Unsuited
        test = f"type({v}) is {self.compilation.constant('N', native)}"
        return f"{test} and {v}.tzinfo is UTC" if native is datetime else test

    def enum(self, named: GraphQLEnumType, members: dict[Any, Enum], v: str, *, nullable: bool) -> str:
        """From the value in the row to the name in the answer in one step."""
        names: dict[Any, str | None] = {value: named.coerce_output_value(member) for value, member in members.items()}
        if nullable:
            names[None] = None
        find = self.compilation.constant("E", names.get)
        self.lines.append(f"{v} = {find}({v}, PLAIN)")
        self.unless(f"{v} is PLAIN")
        return v

    def unless(self, test: str) -> None:
        """Give up where the test holds."""
        self.lines += [f"if {test}:", "    return None"]


def lines_of_bulk(
    compilation: "Compilation", name: str, type_: GraphQLOutputType, details: FieldDetailsList
) -> Lines:
    """The function of that name, which gives a list of rows completed, or None; nothing where there can be none."""
    try:
        return Bulk(compilation).function(name, type_, details)
    except Unsuited:
        return []
