"""The text of the generated functions.

Into the text go our own words, numbered names of constants, and GraphQL names that are nothing but letters, digits and
underscores. Everything else (resolvers, nodes, types) is a constant in the plan's namespace.
"""

from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from graphql import GraphQLList, GraphQLOutputType, get_nullable_type, is_non_null_type, is_object_type
from graphql.execution.collect_fields import GroupedFieldSet

from execution.arguments import has_arguments
from execution.completing import completer
from execution.leaves import lines_of_leaf
from execution.positions import Position
from execution.reading import Reading, reading_of
from execution.rows import RowReader
from execution.run import Field
from execution.strawberry_fields import CAST

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
        lines += [f"    if cls is R_{plan.name}_{index}:", f"        return {plan.name}_row{index}(run, source, path)"]
    return [*lines, f"    return {plan.name}_object(run, source, path)", ""]


def function_of_object(
    compilation: "Compilation", plan: "ObjectPlan", fields: GroupedFieldSet, name: str, reader: RowReader | None
) -> Lines:
    """One such function."""
    body: Lines = []
    entries: list[str] = []
    for key, details in fields.items():
        field = compilation.field_of(plan.type, key, details)
        if field is None:
            continue
        variable = f"v{len(entries)}"
        lines = lines_of_field(compilation, field, variable, reader)
        body += lines
        entries.append(f"{key!r}: {variable if lines else repr(plan.type.name)}")
    result = "{" + ", ".join(entries) + "}"
    if not body:
        return [f"def {name}(run, source, path):", f"    return {result}", ""]
    return [
        f"def {name}(run, source, path):",
        "    waiting = None",
        "    try:",
        *indented(body, 2),
        "    except Exception:",
        "        if waiting is not None:",
        "            run.abandon([value for _, value in waiting])",
        "        raise",
        "    if waiting is None:",
        f"        return {result}",
        f"    return join({result}, waiting)",
        "",
    ]


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
        lines += [f"def {name}(run, source, path):", "    waiting = None", *indented(body), "    return v0", ""]
    return lines, steps


def lines_of_field(
    compilation: "Compilation", field: Field, variable: str, reader: RowReader | None
) -> Lines:
    """Read a field and complete it into the variable; nothing for `__typename`, which is known."""
    reading = reading_of(
        field.definition, field.name, has_arguments=has_arguments(field), custom_default=compilation.custom_default
    )
    if reading.kind == "typename":
        return []
    at = f"(path, {field.key!r}, {field.parent.name!r})"
    position = Position(field.nodes, field.type, completer(compilation, field, field.type))
    x = compilation.constant("X", position)
    read, before = lines_of_reading(compilation, field, reading, variable, at, reader)
    note = [
        "if waiting is None:",
        "    waiting = []",
        f"waiting.append(({field.key!r}, {variable}))",
    ]
    return [
        "try:",
        *indented(read),
        *indented(lines_of_value(compilation, field.type, Place(field, variable, x, at, note, before))),
        "except Exception as error:",
        f"    {variable} = fail(run, {x}, {at}, error)",
    ]


def lines_of_reading(
    compilation: "Compilation", field: Field, reading: Reading, variable: str, at: str, reader: RowReader | None
) -> tuple[Lines, Lines]:
    """Put what the field reads into the variable; and what to do with it before it is looked at closely."""
    if reading.kind == "attribute":
        return lines_of_attribute(compilation, reading.name, variable, reader), []
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


def lines_of_attribute(compilation: "Compilation", name: str, variable: str, reader: RowReader | None) -> Lines:
    """Read an attribute, or a column where the source is a row."""
    if reader is None or name not in reader.columns:
        if name.isascii() and name.isidentifier() and not iskeyword(name):
            return [f"{variable} = source.{name}"]
        return [f"{variable} = getattr(source, {compilation.constant('K', name)})"]
    index, convert = reader.columns[name]
    lines = [f"{variable} = source[{index:d}]"]
    if convert is not None:
        lines += [f"if {variable} is not None:", f"    {variable} = {compilation.constant('C', convert)}({variable})"]
    return lines


class Place:
    """Where in the text a value is: its variable, its position's constant, its path, and what surrounds it."""

    def __init__(self, field: Field, variable: str, x: str, at: str, note: Lines, before: Lines) -> None:
        self.field = field
        self.variable = variable
        self.x = x
        self.at = at
        self.note = note
        self.before = before


def lines_of_value(compilation: "Compilation", type_: GraphQLOutputType, at: Place) -> Lines:
    """Complete the variable: the usual values here, all others by `settle`."""
    nullable = not is_non_null_type(type_)
    named: Any = get_nullable_type(type_)
    settled = [
        *at.before,
        f"{at.variable} = settle(run, {at.x}, {at.at}, {at.variable})",
        f"if type({at.variable}) is Coroutine and run.awaits:",
        *indented(at.note),
    ]
    if isinstance(named, GraphQLList):
        return lines_of_list_value(compilation, named, at, settled, nullable=nullable)
    if is_object_type(named):
        return lines_of_object_value(compilation, compilation.object_of(named, at.field.details), at, settled, nullable=nullable)
    return lines_of_leaf(compilation, named, at, settled, nullable=nullable) or unless_none(
        at.variable, settled, nullable=nullable
    )


def unless_none(variable: str, lines: Lines, *, nullable: bool) -> Lines:
    """The lines, not for None where it is allowed."""
    return [f"if {variable} is not None:", *indented(lines)] if nullable else lines


def otherwise(variable: str, lines: Lines, *, nullable: bool) -> Lines:
    """The lines as the last branch of an `if`."""
    return [f"elif {variable} is not None:" if nullable else "else:", *indented(lines)]


def lines_of_list_value(
    compilation: "Compilation", type_: GraphQLList[Any], at: Place, settled: Lines, *, nullable: bool
) -> Lines:
    """A list or tuple goes to the list's function; anything else iterable does so after a closer look."""
    _, name = compilation.list_of(at.field, type_)
    return [
        f"if type({at.variable}) is list or type({at.variable}) is tuple:",
        f"    {at.variable} = {name}(run, {at.at}, {at.variable})",
        *indented(lines_of_wait(at)),
        *otherwise(at.variable, settled, nullable=nullable),
    ]


def lines_of_wait(at: Place) -> Lines:
    """Guard what takes time."""
    return [
        f"if type({at.variable}) is Coroutine:",
        f"    {at.variable} = guarded(run, {at.x}, {at.at}, {at.variable})",
        *indented(at.note),
    ]


def lines_of_object_value(
    compilation: "Compilation", plan: "ObjectPlan", at: Place, settled: Lines, *, nullable: bool
) -> Lines:
    """An object of a class that has been seen there before goes to the object's function."""
    test = f"type({at.variable}) in {compilation.constant('P', plan.plain)}"
    if plan.cast:
        test += f" and not hasattr({at.variable}, {CAST!r})"
    return [
        f"if {test}:",
        f"    {at.variable} = {plan.name}(run, {at.variable}, {at.at})",
        *indented(lines_of_wait(at)),
        *otherwise(at.variable, settled, nullable=nullable),
    ]


def lines_of_list(
    compilation: "Compilation", name: str, field: Field, item: Position, type_: GraphQLOutputType
) -> Lines:
    """The function that completes the items of an iterable."""
    x = compilation.constant("X", item)
    at = "(path, index, None)"
    note = ["if waiting is None:", "    waiting = []", "waiting.append(index)"]
    return [
        f"def {name}(run, path, items):",
        "    done = []",
        "    push = done.append",
        "    waiting = None",
        "    iterator = iter(items)",
        "    try:",
        "        for index, item in enumerate(iterator):",
        "            try:",
        *indented(lines_of_value(compilation, type_, Place(field, "item", x, at, note, [])), 4),
        "            except Exception as error:",
        f"                item = fail(run, {x}, {at}, error)",
        "            push(item)",
        "    except Exception:",
        "        abandon_items(run, done, waiting, iterator)",
        "        raise",
        "    return done if waiting is None else join_items(done, waiting)",
        "",
    ]
