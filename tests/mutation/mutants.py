"""Small changes of a module's source, each of which a test should notice."""

import ast
import difflib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_OPERATORS: Final[dict[type[ast.operator], tuple[str, str]]] = {ast.Add: ("+", "-"), ast.Sub: ("-", "+")}
_CLAUSES: Final = frozenset(
    {"where", "filter", "having", "order_by", "limit", "distinct", "with_for_update", "on_conflict_do_nothing"}
)
_SWAPS: Final = {"min": "max", "max": "min", "asc": "desc", "desc": "asc", "any": "all", "all": "any"}
_SKIPPED_STATEMENTS: Final = (b"log.", b"super().__init__(")
"""Statements that are not mutated: tests need not assert log output or the text of exceptions."""


_SKIPPED_FIELDS: Final = frozenset({"annotation", "returns", "decorator_list", "bases"})


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """One change: the bytes from `start` to `end` of the file become `text`."""

    path: Path
    line: int
    start: int
    end: int
    text: str
    statement: tuple[int, int]
    """The first and the last line of the changed statement; of an `if` or a `with`, only of its header."""

    def applied_to(self, source: bytes) -> bytes:
        """The source with the change."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def diff(self, source: bytes) -> list[str]:
        """The removed and the added lines, without context."""
        before, after = (text.decode().splitlines() for text in (source, self.applied_to(source)))
        return [line for line in list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:] if line[0] != "@"]


def mutants_of(path: Path, source: bytes) -> list[Mutant]:
    """Every mutant of a module; none changes an annotation, a docstring or a log call."""
    return sorted(set(_Finder(path, source).mutants(ast.parse(source), (0, 0))))


def sample_mutants(sources: Mapping[Path, bytes], count: int, seed: int) -> list[Mutant]:
    """A random sample of mutants, at most one of each line, so that all lines are equally likely."""
    generator = random.Random(seed)  # noqa: S311 - the same seed gives the same sample
    lines: dict[tuple[Path, int], list[Mutant]] = {}
    for path, source in sorted(sources.items()):
        for mutant in mutants_of(path, source):
            lines.setdefault((path, mutant.line), []).append(mutant)
    candidates = (generator.choice(lines[line]) for line in generator.sample(sorted(lines), len(lines)))
    return list(
        islice((mutant for mutant in candidates if _compiles(mutant.applied_to(sources[mutant.path]))), count)
    )


def _compiles(source: bytes) -> bool:
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


class _Finder:
    """Finds the mutants of a module; positions are bytes from its beginning."""

    def __init__(self, path: Path, source: bytes) -> None:
        self.path, self.source = path, source
        self.line_starts = [0]
        for line in source.splitlines(keepends=True):
            self.line_starts.append(self.line_starts[-1] + len(line))

    def mutants(self, node: ast.AST, statement: tuple[int, int]) -> Iterator[Mutant]:
        """The mutants of a node and of all below it."""
        if isinstance(node, ast.stmt):
            if self.source[self._start(node) :].startswith(_SKIPPED_STATEMENTS):
                return
            statement = _lines(node)
        for start, end, text in self._of(node):
            offset = start + len(self.source[start:end]) - len(self.source[start:end].lstrip())
            line = self.source.count(b"\n", 0, offset) + 1
            yield Mutant(self.path, line, start, end, text, statement)
        for name, value in ast.iter_fields(node):
            if name not in _SKIPPED_FIELDS:
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        yield from self.mutants(child, statement)

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self.line_starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.line_starts[node.end_lineno - 1] + node.end_col_offset

    def _of(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        match node:
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                yield from self._between(left, right, *_COMPARISONS[type(operator)])
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as operator, right=right):
                yield from self._between(left, right, *_OPERATORS[type(operator)])
            case ast.BoolOp(op=operator, values=values):
                words = ("and", "or") if isinstance(operator, ast.And) else ("or", "and")
                for left, right in pairwise(values):
                    yield from self._between(left, right, *words)
                    yield self._end(left), self._end(right), ""
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._start(node), self._start(operand), ""
            case ast.Constant(value=int() as value):
                yield self._start(node), self._end(node), str(not value if isinstance(value, bool) else value + 1)
            case ast.Expr(value=ast.Await() | ast.Call()) | ast.AugAssign() | ast.Assign(targets=[ast.Attribute()]):
                yield self._start(node), self._end(node), "pass"
            case ast.If(test=test, orelse=[]) if getattr(test, "id", "") != "TYPE_CHECKING":
                yield self._start(test), self._end(test), "False"
            case ast.Call():
                yield from self._call(node)

    def _between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[tuple[int, int, str]]:
        start, end = self._end(left), self._start(right)
        between = self.source[start:end].decode()
        if between.count(old) == 1:
            yield start, end, between.replace(old, new)

    def _call(self, node: ast.Call) -> Iterator[tuple[int, int, str]]:
        match node.func:
            case ast.Attribute(attr=name, value=value) if name in _CLAUSES:
                yield self._end(value), self._end(node), ""
                if len(node.args) > 1:
                    for left, right in pairwise(node.args):
                        yield self._start(left), self._start(right), ""
                    yield self._end(node.args[-2]), self._end(node.args[-1]), ""
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in _SWAPS:
                end = self._end(node.func)
                yield end - len(name), end, _SWAPS[name]


def _lines(node: ast.stmt) -> tuple[int, int]:
    body = getattr(node, "body", None)
    end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
    return node.lineno, max(node.lineno, end)
