"""Contextual escaping: finds, once per template, the places in the HTML at which each value is printed.

The text between the tags is scanned as a browser would, through every branch and loop. If branches end in different
states, the scan continues with each of them, and a value is escaped for all places at which it may be printed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from liquid import RenderContext
from liquid.ast import BlockNode, ConditionalBlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.ifchanged_tag import IfChangedNode
from liquid.builtin.tags.liquid_tag import LiquidNode
from liquid.builtin.tags.tablerow_tag import TablerowNode
from liquid.builtin.tags.unless_tag import UnlessNode

from services.rendering.nodes import Printing
from services.rendering.places import START, Findings, Place, State, after_value, place_of, read

States = frozenset[State]

_MAX_STATES: Final = 8
_MAX_REPEATS: Final = 50
"""Loops whose body is scanned twice, because it ends in another state than it begins in."""
_ONLY_IF_SURE: Final = Place.RAW | Place.ALONE


@dataclass(slots=True)
class _Scan:
    """The nodes that print values, by number, and the places found for each."""

    context: RenderContext
    printing: list[Printing] = field(default_factory=list)
    places: list[set[Place]] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    findings: Findings = field(default_factory=list)
    repeats: int = 0

    def number(self, node: Printing) -> int:
        if id(node) not in self.numbers:
            self.numbers[id(node)] = len(self.printing)
            self.printing.append(node)
            self.places.append(set())
        return self.numbers[id(node)]


def place_values(nodes: Iterable[Node], context: RenderContext) -> None:
    """Set the place of each node that prints a value."""
    scan = _Scan(context)
    _through(scan, nodes, frozenset({START}))
    for node, places in zip(scan.printing, scan.places, strict=True):
        for place in places:
            node.place |= place
    for number, place in scan.findings:
        scan.printing[number].place |= place
    for node, places in zip(scan.printing, scan.places, strict=True):
        if len(places) > 1:
            node.place &= ~_ONLY_IF_SURE


def _through(scan: _Scan, nodes: Iterable[Node], states: States) -> States:
    for node in nodes:
        states = _after(scan, node, states)
    return states


def _after(scan: _Scan, node: Node, states: States) -> States:
    if isinstance(node, ContentNode):
        return _few(read(state, node.text, scan.findings) for state in states)
    if isinstance(node, Printing):
        number = scan.number(node)
        scan.places[number] |= {place_of(state) for state in states}
        return _few(after_value(state, number) for state in states)
    if isinstance(node, (CaptureNode, TablerowNode)):
        # A captured text is escaped when it is printed, except for an empty value, which is handled here.
        _through(scan, [node.block], frozenset({START}))
    elif isinstance(node, ForNode):
        states = _loop(scan, node, states)
    elif isinstance(node, (BlockNode, LiquidNode)):
        states = _through(scan, node.children(scan.context), states)
    elif isinstance(node, (IfNode, UnlessNode, CaseNode, IfChangedNode)):
        states = _branches(scan, node, states)
    return states


def _branches(scan: _Scan, node: Node, states: States) -> States:
    ends = frozenset() if getattr(node, "default", None) else states
    for child in node.children(scan.context):
        block = child.block if isinstance(child, (ConditionalBlockNode, MultiExpressionBlockNode)) else child
        ends |= _through(scan, [block], states)
    return _few(ends)


def _loop(scan: _Scan, node: ForNode, states: States) -> States:
    ends = _through(scan, [node.block], states)
    if not ends <= states and scan.repeats < _MAX_REPEATS:
        scan.repeats += 1
        ends |= _through(scan, [node.block], _few(ends | states))
    if node.default:
        ends |= _through(scan, [node.default], states)
    return _few(ends | states)


def _few(states: Iterable[State]) -> States:
    distinct = frozenset(states)
    if len(distinct) <= _MAX_STATES:
        return distinct
    return frozenset(sorted(distinct, key=repr)[:_MAX_STATES])
