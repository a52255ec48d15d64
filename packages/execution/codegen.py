"""Generates the source text of a plan's functions.

The text contains only fixed text, numbered names of constants, and names of letters, digits and underscores.
Everything else (resolvers, nodes, types) is a constant in the plan's namespace.
"""

from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from graphql import GraphQLList, GraphQLOutputType, get_nullable_type, is_non_null_type, is_object_type
from graphql.execution.collect_fields import GroupedFieldSet

from execution.arguments import has_arguments
from execution.bulk import generate_bulk
from execution.completing import completer
from execution.field_sources import FieldSource, determine_source
from execution.leaves import generate_leaf
from execution.positions import Position
from execution.rows import RowReader
from execution.run import Field
from execution.strawberry_private import CAST

if TYPE_CHECKING:
    from execution.compiling import Compilation
    from execution.objects import ObjectFunction

Lines = list[str]


def _indented(lines: Lines, by: int = 1) -> Lines:
    """The lines with more indentation."""
    return ["    " * by + line for line in lines]


def generate_object(compilation: "Compilation", function: "ObjectFunction", fields: GroupedFieldSet) -> Lines:
    """The function that executes an object's fields, with a variant for each registered row class."""
    lines = _generate_object_function(compilation, function, fields, function.name, None)
    for index, reader in enumerate(function.row_readers):
        lines += _generate_object_function(compilation, function, fields, f"{function.name}_row{index}", reader)
        lines += [f"R_{function.name}_{index} = {compilation.add_constant('R', reader.row)}"]
    if function.row_readers:
        lines += _generate_row_dispatch(function)
    return lines


def _generate_row_dispatch(function: "ObjectFunction") -> Lines:
    """Rename the function for objects, and define in its place one that dispatches by the value's class."""
    lines = [
        f"{function.name}_object = {function.name}",
        f"def {function.name}(run, source, path):",
        "    cls = type(source)",
    ]
    for index in range(len(function.row_readers)):
        lines += [
            f"    if cls is R_{function.name}_{index}:",
            f"        return {function.name}_row{index}(run, source, path)",
        ]
    return [*lines, f"    return {function.name}_object(run, source, path)", ""]


def _generate_object_function(
    compilation: "Compilation",
    function: "ObjectFunction",
    fields: GroupedFieldSet,
    name: str,
    reader: RowReader | None,
) -> Lines:
    """The function for objects, or with a reader the variant for its rows."""
    body: Lines = []
    entries: list[str] = []
    may_fail = False
    for key, details in fields.items():
        field = compilation.create_field(function.type, key, details)
        if field is None:
            continue
        function.fields[key] = field
        variable = f"v{len(entries)}"
        lines = _generate_field(compilation, field, variable, reader)
        body += lines
        may_fail |= is_non_null_type(field.type)
        entries.append(f"{key!r}: {variable if lines else repr(function.type.name)}")
    head = f"def {name}(run, source, path):"
    result = "{" + ", ".join(entries) + "}"
    if not body:
        return [head, f"    return {result}", ""]
    if may_fail and len(entries) > 1:
        body = ["try:", *_indented(body), "except Exception:", "    run.abandon(locals().values())", "    raise"]
    last = [f"fields = {result}", "return join_fields(run, fields) if slow else fields"]
    return [head, *_indented(["slow = False", *body, *last]), ""]


def generate_steps(
    compilation: "Compilation", function: "ObjectFunction", fields: GroupedFieldSet
) -> tuple[Lines, list[tuple[str, str]]]:
    """A function for each field of a mutation, and their names by response key."""
    lines: Lines = []
    steps: list[tuple[str, str]] = []
    for key, details in fields.items():
        field = compilation.create_field(function.type, key, details)
        if field is None:
            continue
        body = _generate_field(compilation, field, "v0", None) or [f"v0 = {function.type.name!r}"]
        name = f"step{len(steps)}"
        steps.append((key, name))
        lines += [f"def {name}(run, source, path):", *_indented(body), "    return v0", ""]
    return lines, steps


def _generate_field(compilation: "Compilation", field: Field, variable: str, reader: RowReader | None) -> Lines:
    """Read a field and complete it into the variable; no lines for `__typename`, which is constant."""
    field_source = determine_source(
        field.definition,
        field.name,
        compilation.schema,
        has_arguments=has_arguments(field),
        custom_default=compilation.custom_default,
    )
    if field_source.kind == "typename":
        return []
    position = compilation.add_constant("X", Position(field, field.type, completer(compilation, field, field.type)))
    path = f"(path, {field.key!r}, {field.parent.name!r})"
    read, before = _generate_read(compilation, field, field_source, variable, path, reader)
    return [
        "try:",
        *_indented(read),
        *_indented(_generate_value(compilation, field.type, ValueSlot(field, variable, position, path, before))),
        "except Exception as error:",
        f"    {variable} = fail(run, {position}, path, error)",
    ]


def _generate_read(
    compilation: "Compilation",
    field: Field,
    field_source: FieldSource,
    variable: str,
    path: str,
    reader: RowReader | None,
) -> tuple[Lines, Lines]:
    """The lines that read the field into the variable, and those that run before a value is settled."""
    if field_source.kind == "attribute":
        return _generate_attribute_read(compilation, field_source.name, variable), []
    if field_source.kind == "column":
        return _generate_column_read(compilation, field_source.name, variable, reader), []
    if field_source.kind == "property":
        name = repr(field_source.name)
        lookup = f"source.get({name}) if type(source) is dict else read_property(source, {name})"
        call = f"{variable} = {variable}(run.info({compilation.add_constant('F', field)}, {path}))"
        return [f"{variable} = {lookup}"], [f"if callable({variable}):", f"    {call}"]
    if field_source.kind == "method":
        return [f"{variable} = {compilation.add_constant('M', field_source.call)}(source)"], []
    f = compilation.add_constant("F", field)
    function = "run.field_resolver" if field_source.call is None else compilation.add_constant("M", field_source.call)
    if field.constant_arguments is None:
        return [f"info = run.info({f}, {path})", f"{variable} = {function}(source, info, **run.arguments({f}))"], []
    arguments = f", **{compilation.add_constant('A', field.constant_arguments)}" if field.constant_arguments else ""
    return [f"{variable} = {function}(source, run.info({f}, {path}){arguments})"], []


def _generate_attribute_read(compilation: "Compilation", name: str, variable: str) -> Lines:
    """The line that reads an attribute of the source, also for a name that is not an identifier."""
    if name.isascii() and name.isidentifier() and not iskeyword(name):
        return [f"{variable} = source.{name}"]
    return [f"{variable} = getattr(source, {compilation.add_constant('K', name)})"]


def _generate_column_read(compilation: "Compilation", name: str, variable: str, reader: RowReader | None) -> Lines:
    """Read a column where the source is a row with that column, otherwise an attribute."""
    if reader is None or name not in reader.columns:
        return _generate_attribute_read(compilation, name, variable)
    index, convert = reader.columns[name]
    lines = [f"{variable} = source[{index:d}]"]
    if convert is not None:
        lines += [
            f"if {variable} is not None:",
            f"    {variable} = {compilation.add_constant('C', convert)}({variable})",
        ]
    return lines


class ValueSlot:
    """A value in the text: its variable, the constant of its position, and the expression of its path.

    `before` are the lines that run before the value is settled.
    """

    slow = "slow"

    def __init__(
        self, field: Field, variable: str, position: str, path: str, before: Lines, *, item: bool = False
    ) -> None:
        self.field = field
        self.variable = variable
        self.position = position
        self.path = path
        self.before = before
        self.item = item

    def call(self, function: str) -> str:
        """The beginning of a call that needs the value's position and path."""
        if self.item:
            return f"{function}_item(run, {self.position}, path, index,"
        return f"{function}(run, {self.position}, path,"

    def settle_lines(self) -> Lines:
        """Complete any value by `settle`."""
        return _indented([*self.before, f"{self.variable} = {self.call('settle')} {self.variable})", "slow = True"])

    def else_lines(self, *, nullable: bool) -> Lines:
        """The same as the last branch of an `if`; None is left as it is where null is allowed."""
        return [f"elif {self.variable} is not None:" if nullable else "else:", *self.settle_lines()]

    def complete_lines(self, call: str) -> Lines:
        """Complete the value by the call; a coroutine is wrapped by `guard`."""
        return [
            f"    {self.variable} = {call}",
            f"    if type({self.variable}) is Coroutine:",
            f"        {self.variable} = {self.call('guard')} {self.variable})",
            "        slow = True",
        ]


def _generate_value(compilation: "Compilation", type_: GraphQLOutputType, slot: ValueSlot) -> Lines:
    """Complete the variable: values of the common types here, all others by `settle`."""
    nullable = not is_non_null_type(type_)
    named: Any = get_nullable_type(type_)
    if isinstance(named, GraphQLList):
        _, name = compilation.list_function(slot.field, named)
        return [
            f"if type({slot.variable}) is list or type({slot.variable}) is tuple:",
            *slot.complete_lines(f"{name}(run, {slot.path}, {slot.variable})"),
            *slot.else_lines(nullable=nullable),
        ]
    if is_object_type(named):
        return _generate_object_value(
            compilation, slot, compilation.object_function(named, slot.field.details), nullable=nullable
        )
    lines = generate_leaf(compilation, named, slot, nullable=nullable)
    return lines or [f"if {slot.variable} is not None:" if nullable else "if True:", *slot.settle_lines()]


def _generate_object_value(
    compilation: "Compilation", slot: ValueSlot, function: "ObjectFunction", *, nullable: bool
) -> Lines:
    """Pass an object of a known class, or a row, to its function."""
    test = f"type({slot.variable}) in {compilation.add_constant('P', function.known_classes)}"
    if function.checks_cast:
        test += f" and not hasattr({slot.variable}, {CAST!r})"
    lines: Lines = []
    for index, reader in enumerate(function.row_readers):
        word = "elif" if lines else "if"
        lines += [f"{word} type({slot.variable}) is {compilation.add_constant('R', reader.row)}:"]
        lines += slot.complete_lines(f"{function.name}_row{index}(run, {slot.variable}, {slot.path})")
    return [
        *lines,
        f"{'elif' if lines else 'if'} {test}:",
        *slot.complete_lines(f"{function.name}{'_object' if lines else ''}(run, {slot.variable}, {slot.path})"),
        *slot.else_lines(nullable=nullable),
    ]


def generate_list(
    compilation: "Compilation", name: str, field: Field, item: Position, type_: GraphQLOutputType
) -> Lines:
    """The function that completes the items of an iterable."""
    position = compilation.add_constant("X", item)
    bulk = generate_bulk(compilation, f"{name}_bulk", type_, field.details)
    fast_path = [
        "    if type(items) is list:",
        "        try:",
        f"            done = {name}_bulk(items)",
        "        except Exception:  # the general function finds the value that failed",
        "            done = None",
        "        if done is not None:",
        "            return done",
    ]
    return [
        *bulk,
        f"def {name}(run, path, items):",
        *(fast_path if bulk else []),
        "    slow = False",
        "    done = []",
        "    push = done.append",
        "    rest = iter(items)",
        "    try:",
        "        for index, item in enumerate(rest):",
        "            try:",
        *_indented(
            _generate_value(
                compilation, type_, ValueSlot(field, "item", position, "(path, index, None)", [], item=True)
            ),
            4,
        ),
        "            except Exception as error:",
        f"                item = fail_item(run, {position}, path, index, error)",
        "            push(item)",
        "    except Exception:",
        "        abandon_items(run, done, rest)",
        "        raise",
        "    return join_items(run, done) if slow else done",
        "",
    ]
