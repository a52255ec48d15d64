"""The text of the generated functions.

Into the text go our own words, numbered names of constants, and names that are nothing but letters, digits and
underscores. Everything else (resolvers, nodes, types) is a constant in the plan's namespace.
"""

from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from graphql import GraphQLList, GraphQLOutputType, get_nullable_type, is_non_null_type, is_object_type
from graphql.execution.collect_fields import GroupedFieldSet

from execution.arguments import has_arguments
from execution.bulk import lines_of_bulk
from execution.completing import completer
from execution.leaves import lines_of_leaf
from execution.positions import Position
from execution.reading import Reading, reading_of
from execution.rows import RowReader
from execution.run import Field
from execution.strawberry_private import CAST

if TYPE_CHECKING:
    from execution.compiling import Compilation
    from execution.objects import ObjectPlan

Lines = list[str]


def indented(lines: Lines, by: int = 1) -> Lines:
    """The lines, deeper."""
    return ["    " * by + line for line in lines]


def lines_of_object(compilation: "Compilation", plan: "ObjectPlan", fields: GroupedFieldSet) -> Lines:
    """The function that executes an object's fields; with a variant for each class of rows it may be read from."""
    lines = function_of_object(compilation, plan, fields, plan.name, None)
    for index, reader in enumerate(plan.rows):
        lines += function_of_object(compilation, plan, fields, f"{plan.name}_row{index}", reader)
        lines += [f"R_{plan.name}_{index} = {compilation.constant('R', reader.row)}"]
    if plan.rows:
        lines += dispatch_to_rows(plan)
    return lines


def dispatch_to_rows(plan: "ObjectPlan") -> Lines:
    """Rename the function of the attributes, and put one in its place that looks at the value's class."""
    lines = [f"{plan.name}_object = {plan.name}", f"def {plan.name}(run, source, path):", "    cls = type(source)"]
    for index in range(len(plan.rows)):
        lines += [
            f"    if cls is R_{plan.name}_{index}:",
            f"        return {plan.name}_row{index}(run, source, path)",
        ]
    return [*lines, f"    return {plan.name}_object(run, source, path)", ""]


def function_of_object(
    compilation: "Compilation", plan: "ObjectPlan", fields: GroupedFieldSet, name: str, reader: RowReader | None
) -> Lines:
    """One such function."""
    body: Lines = []
    entries: list[str] = []
    may_fail = False
    for key, details in fields.items():
        field = compilation.field_of(plan.type, key, details)
        if field is None:
            continue
        plan.selected[key] = field
        variable = f"v{len(entries)}"
        lines = lines_of_field(compilation, field, variable, reader)
        body += lines
        may_fail |= is_non_null_type(field.type)
        entries.append(f"{key!r}: {variable if lines else repr(plan.type.name)}")
    head = f"def {name}(run, source, path):"
    result = "{" + ", ".join(entries) + "}"
    if not body:
        return [head, f"    return {result}", ""]
    if may_fail and len(entries) > 1:
        body = ["try:", *indented(body), "except Exception:", "    run.abandon(locals().values())", "    raise"]
    last = [f"fields = {result}", "return joined(run, fields) if slow else fields"]
    return [head, *indented(["slow = False", *body, *last]), ""]


def lines_of_steps(
    compilation: "Compilation", plan: "ObjectPlan", fields: GroupedFieldSet
) -> tuple[Lines, list[tuple[str, str]]]:
    """A function for each field of a mutation, and their names by response key."""
    lines: Lines = []
    steps: list[tuple[str, str]] = []
    for key, details in fields.items():
        field = compilation.field_of(plan.type, key, details)
        if field is None:
            continue
        body = lines_of_field(compilation, field, "v0", None) or [f"v0 = {plan.type.name!r}"]
        name = f"step{len(steps)}"
        steps.append((key, name))
        lines += [f"def {name}(run, source, path):", *indented(body), "    return v0", ""]
    return lines, steps


def lines_of_field(compilation: "Compilation", field: Field, variable: str, reader: RowReader | None) -> Lines:
    """Read a field and complete it into the variable; nothing for `__typename`, which is known."""
    reading = reading_of(
        field.definition,
        field.name,
        compilation.schema,
        has_arguments=has_arguments(field),
        custom_default=compilation.custom_default,
    )
    if reading.kind == "typename":
        return []
    x = compilation.constant("X", Position(field, field.type, completer(compilation, field, field.type)))
    at = f"(path, {field.key!r}, {field.parent.name!r})"
    read, before = lines_of_reading(compilation, field, reading, variable, at, reader)
    return [
        "try:",
        *indented(read),
        *indented(lines_of_value(compilation, field.type, Place(field, variable, x, at, before))),
        "except Exception as error:",
        f"    {variable} = fail(run, {x}, path, error)",
    ]


def lines_of_reading(
    compilation: "Compilation", field: Field, reading: Reading, variable: str, at: str, reader: RowReader | None
) -> tuple[Lines, Lines]:
    """Put what the field reads into the variable; and what to do with it before it is looked at closely."""
    if reading.kind == "attribute":
        return lines_of_attribute(compilation, reading.name, variable), []
    if reading.kind == "column":
        return lines_of_column(compilation, reading.name, variable, reader), []
    if reading.kind == "property":
        look = f"source.get({reading.name!r}) if type(source) is dict else read_property(source, {reading.name!r})"
        call = f"{variable} = {variable}(run.info({compilation.constant('F', field)}, {at}))"
        return [f"{variable} = {look}"], [f"if callable({variable}):", f"    {call}"]
    if reading.kind == "method":
        return [f"{variable} = {compilation.constant('M', reading.call)}(source)"], []
    f = compilation.constant("F", field)
    function = "run.field_resolver" if reading.call is None else compilation.constant("M", reading.call)
    if field.arguments is None:
        return [f"info = run.info({f}, {at})", f"{variable} = {function}(source, info, **run.arguments({f}))"], []
    arguments = f", **{compilation.constant('A', field.arguments)}" if field.arguments else ""
    return [f"{variable} = {function}(source, run.info({f}, {at}){arguments})"], []


def lines_of_attribute(compilation: "Compilation", name: str, variable: str) -> Lines:
    """Read an attribute."""
    if name.isascii() and name.isidentifier() and not iskeyword(name):
        return [f"{variable} = source.{name}"]
    return [f"{variable} = getattr(source, {compilation.constant('K', name)})"]


def lines_of_column(compilation: "Compilation", name: str, variable: str, reader: RowReader | None) -> Lines:
    """Read a column where the source is a row that has it, and else an attribute."""
    if reader is None or name not in reader.columns:
        return lines_of_attribute(compilation, name, variable)
    index, convert = reader.columns[name]
    lines = [f"{variable} = source[{index:d}]"]
    if convert is not None:
        lines += [f"if {variable} is not None:", f"    {variable} = {compilation.constant('C', convert)}({variable})"]
    return lines


class Place:
    """Where in the text a value is: its variable, its position's constant, its path.

    `before` is what has to be done before it is settled.
    """

    slow = "slow"

    def __init__(self, field: Field, variable: str, x: str, at: str, before: Lines, *, item: bool = False) -> None:
        self.field = field
        self.variable = variable
        self.x = x
        self.at = at
        self.before = before
        self.item = item

    def call(self, function: str) -> str:
        """The beginning of a call that has to know where the value stands."""
        if self.item:
            return f"{function}_item(run, {self.x}, path, index,"
        return f"{function}(run, {self.x}, path,"

    def settled(self) -> Lines:
        """Complete whatever the value is."""
        return indented([*self.before, f"{self.variable} = {self.call('settle')} {self.variable})", "slow = True"])

    def otherwise(self, *, nullable: bool) -> Lines:
        """The same as the last branch of an `if`, not for None where it is allowed."""
        return [f"elif {self.variable} is not None:" if nullable else "else:", *self.settled()]

    def completed(self, call: str) -> Lines:
        """Complete by the call, and guard what takes time."""
        return [
            f"    {self.variable} = {call}",
            f"    if type({self.variable}) is Coroutine:",
            f"        {self.variable} = {self.call('guard')} {self.variable})",
            "        slow = True",
        ]


def lines_of_value(compilation: "Compilation", type_: GraphQLOutputType, at: Place) -> Lines:
    """Complete the variable: the usual values here, all others by `settle`."""
    nullable = not is_non_null_type(type_)
    named: Any = get_nullable_type(type_)
    if isinstance(named, GraphQLList):
        _, name = compilation.list_of(at.field, named)
        return [
            f"if type({at.variable}) is list or type({at.variable}) is tuple:",
            *at.completed(f"{name}(run, {at.at}, {at.variable})"),
            *at.otherwise(nullable=nullable),
        ]
    if is_object_type(named):
        return lines_of_object_value(
            compilation, at, compilation.object_of(named, at.field.details), nullable=nullable
        )
    lines = lines_of_leaf(compilation, named, at, nullable=nullable)
    return lines or [f"if {at.variable} is not None:" if nullable else "if True:", *at.settled()]


def lines_of_object_value(compilation: "Compilation", at: Place, plan: "ObjectPlan", *, nullable: bool) -> Lines:
    """An object of a class that has been seen there before, or a row, goes to its function."""
    test = f"type({at.variable}) in {compilation.constant('P', plan.plain)}"
    if plan.cast:
        test += f" and not hasattr({at.variable}, {CAST!r})"
    lines: Lines = []
    for index, reader in enumerate(plan.rows):
        word = "elif" if lines else "if"
        lines += [f"{word} type({at.variable}) is {compilation.constant('R', reader.row)}:"]
        lines += at.completed(f"{plan.name}_row{index}(run, {at.variable}, {at.at})")
    return [
        *lines,
        f"{'elif' if lines else 'if'} {test}:",
        *at.completed(f"{plan.name}{'_object' if lines else ''}(run, {at.variable}, {at.at})"),
        *at.otherwise(nullable=nullable),
    ]


def lines_of_list(
    compilation: "Compilation", name: str, field: Field, item: Position, type_: GraphQLOutputType
) -> Lines:
    """The function that completes the items of an iterable."""
    x = compilation.constant("X", item)
    bulk = lines_of_bulk(compilation, f"{name}_bulk", type_, field.details)
    at_a_stroke = [
        "    if type(items) is list:",
        "        try:",
        f"            done = {name}_bulk(items)",
        "        except Exception:  # the careful way says which value it was",
        "            done = None",
        "        if done is not None:",
        "            return done",
    ]
    return [
        *bulk,
        f"def {name}(run, path, items):",
        *(at_a_stroke if bulk else []),
        "    slow = False",
        "    done = []",
        "    push = done.append",
        "    rest = iter(items)",
        "    try:",
        "        for index, item in enumerate(rest):",
        "            try:",
        *indented(
            lines_of_value(compilation, type_, Place(field, "item", x, "(path, index, None)", [], item=True)), 4
        ),
        "            except Exception as error:",
        f"                item = fail_item(run, {x}, path, index, error)",
        "            push(item)",
        "    except Exception:",
        "        abandon_items(run, done, rest)",
        "        raise",
        "    return joined_items(run, done) if slow else done",
        "",
    ]
