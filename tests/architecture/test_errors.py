"""Every error code has one type in the schema, and only errors of that type's class have the code."""

import ast
import re

from graphql import GraphQLInterfaceType, GraphQLObjectType

import resolvers
from core.errors import CODES_WITH_CLASS, Conflict, ErrorCode, InvalidState, NudgeError, QuotaExceeded
from schema.errors import ERROR_TYPE_BY_CODE, ConflictError, InputError, InvalidStateError, QuotaError
from tests.architecture.tree import ROOT, modules

schema = resolvers.build_schema()._schema
CLASSES = {InvalidState: InvalidStateError, Conflict: ConflictError, QuotaExceeded: QuotaError}
PAGE = (ROOT / "docs" / "clients.md").read_text("utf-8")


def all_refusals(kind: type[NudgeError] = NudgeError) -> set[type[NudgeError]]:
    """The class and all its subclasses."""
    return {kind}.union(*(all_refusals(each) for each in kind.__subclasses__()))


def test_every_code_has_one_type() -> None:
    """Every code has a type, and every type that implements `UserError` has a code."""
    assert ERROR_TYPE_BY_CODE.keys() == set(ErrorCode)
    interface = schema.type_map["UserError"]
    assert isinstance(interface, GraphQLInterfaceType)
    names = {kind.name for kind in schema.get_possible_types(interface)}
    assert names == {kind.__name__ for kind in ERROR_TYPE_BY_CODE.values()}
    assert {code for code, kind in ERROR_TYPE_BY_CODE.items() if kind is not InputError} == CODES_WITH_CLASS


def test_classes_match_codes() -> None:
    """Subclasses of `InvalidState` have INVALID_STATE, and so on; no other class has these codes."""
    refusals = all_refusals()
    assert len(refusals) > 15
    for refusal in refusals:
        types = [published for kind, published in CLASSES.items() if issubclass(refusal, kind)]
        assert (types or [InputError]) == [ERROR_TYPE_BY_CODE[refusal.code]], refusal


def test_codes_with_a_class_are_not_passed() -> None:
    """No call has `code=ErrorCode.CONFLICT` or similar: the fields that clients expect would be missing."""
    places = [
        f"{path}:{node.value.lineno}"
        for path in modules()
        if path.parts[0] not in {"tests", "benchmarks"}
        for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "code"
        if any(isinstance(each, ast.Attribute) and each.attr in CODES_WITH_CLASS for each in ast.walk(node.value))
    ]
    assert places == []


def test_error_types_begin_with_the_fields_of_the_interface() -> None:
    """The shared fields have the same order and types, before the other fields."""
    interface = schema.type_map["UserError"]
    assert isinstance(interface, GraphQLInterfaceType)
    shared = [(name, str(field.type)) for name, field in interface.fields.items()]
    assert [name for name, _ in shared] == ["code", "field", "message", "suggestion"]
    for kind in schema.get_possible_types(interface):
        assert isinstance(kind, GraphQLObjectType)
        assert [(name, str(field.type)) for name, field in kind.fields.items()][: len(shared)] == shared


def test_page_for_clients_lists_all_codes() -> None:
    """`docs/clients.md` has a row for each type, with exactly its codes and fields."""
    rows = dict(re.findall(r"^\| `(\w+Error)(?: \{[\w, ]+\})?` \| ([^|]+) \|", PAGE, re.MULTILINE))
    codes_by_section = {name: set(re.findall(r"\b[A-Z_]{4,}\b", codes)) for name, codes in rows.items()}
    kinds = dict.fromkeys(ERROR_TYPE_BY_CODE.values())
    assert codes_by_section == {
        kind.__name__: {code for code, of in ERROR_TYPE_BY_CODE.items() if of is kind} for kind in kinds
    }
    fields = dict(re.findall(r"^\| `(\w+Error) \{([\w, ]+)\}` \|", PAGE, re.MULTILINE))
    own = {kind.__name__: own_fields(kind.__name__) for kind in kinds}
    assert {name: text.split(", ") for name, text in fields.items()} == {name: own[name] for name in own if own[name]}


def own_fields(name: str) -> list[str]:
    """The fields of an error type that the interface does not have."""
    kind = schema.type_map[name]
    assert isinstance(kind, GraphQLObjectType)
    return list(kind.fields)[4:]
