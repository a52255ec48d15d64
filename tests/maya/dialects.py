"""How servers fragment tool calls in a stream: each function here fragments the same calls in another server's way.

Written from bug reports about servers. The expected result is known by construction.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

NAMES = ("list_campaigns", "campaign_stats", "count_contacts")
Part = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that the model makes, with its arguments in the pieces that a server sends."""

    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> str:
        """The arguments as a text."""
        return "".join(self.pieces)


VALUES = (
    st.none() | st.integers(-9, 99) | st.text('ab{}[]"\\:, é😀', max_size=8) | st.lists(st.integers(0, 9), max_size=2)
)
OBJECTS = st.dictionaries(
    st.text('abc{}"\\', min_size=1, max_size=4),
    VALUES | st.dictionaries(st.text("ab", max_size=2), VALUES, max_size=2),
    min_size=1,
    max_size=3,
)


@st.composite
def calls(draw: st.DrawFn) -> list[Call]:
    """One to four calls, each cut anywhere."""
    calls_ = []
    for _ in range(draw(st.integers(1, 4))):
        text = json.dumps(draw(OBJECTS), ensure_ascii=draw(st.booleans()))
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        calls_.append(Call(name=draw(st.sampled_from(NAMES)), pieces=tuple(pieces)))
    return calls_


def part(arguments: str | None = None, name: str | None = None, **keys: object) -> Part:
    """A fragment in a chunk."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**keys, "function": function}


def documented(calls: Sequence[Call]) -> list[Part]:
    """The id, the name and the index in the first fragment, then the index alone."""
    parts = []
    for index, call in enumerate(calls):
        parts.append(part("", call.name, index=index, id=f"c{index}", type="function"))
        parts += [part(piece, index=index) for piece in call.pieces]
    return parts


def interleaved(calls: Sequence[Call]) -> list[Part]:
    """Fragments of all calls in turn, distinguished by their index."""
    return _in_turn([documented([call]) for call in calls], lambda index, each: {**each, "index": index})


def interleaved_ids(calls: Sequence[Call]) -> list[Part]:
    """Fragments of all calls in turn, all under index 0, distinguished by the id in each of them."""
    return _in_turn([documented([call]) for call in calls], lambda at, each: {**each, "id": f"c{at}", "index": 0})


def _in_turn(lists: list[list[Part]], change: Callable[[int, Part], Part]) -> list[Part]:
    turns = []
    for step in range(max(map(len, lists))):
        for at, parts in enumerate(lists):
            if step < len(parts):
                each = change(at, parts[step])
                if "id" in each:
                    each["id"] = f"c{at}"
                turns.append(each)
    return turns


def one_index(calls: Sequence[Call]) -> list[Part]:
    """Index 0 for all; the id in the first fragment only."""
    return [{**each, "index": 0} for each in documented(calls)]


def one_index_empty_ids(calls: Sequence[Call]) -> list[Part]:
    """Index 0 for all, and '' for the id after the first fragment."""
    return [{"id": "", **each, "index": 0} for each in documented(calls)]


def one_index_each_id(calls: Sequence[Call]) -> list[Part]:
    """Index 0 for all, and each call's id, a small number, in all of its fragments."""
    return [{**each, "index": 0, "id": str(each["index"])} for each in documented(calls)]


def no_index(calls: Sequence[Call]) -> list[Part]:
    """No index at all; the id in the first fragment only."""
    return [{key: value for key, value in each.items() if key != "index"} for each in documented(calls)]


def null_index(calls: Sequence[Call]) -> list[Part]:
    """A null index, and null for each missing field."""
    return [{"id": None, "type": None, **each, "index": None} for each in documented(calls)]


def no_ids(calls: Sequence[Call]) -> list[Part]:
    """No ids; calls are distinguished by the index."""
    return [{key: value for key, value in each.items() if key != "id"} for each in documented(calls)]


def names_alone(calls: Sequence[Call]) -> list[Part]:
    """Neither ids nor indexes: each name begins a call."""
    return [{"function": each["function"]} for each in documented(calls)]


def whole(calls: Sequence[Call]) -> list[Part]:
    """Each call in one fragment under index 0, with an id."""
    return [part(call.arguments, call.name, index=0, id=f"function-call-{at}") for at, call in enumerate(calls)]


def whole_nameless(calls: Sequence[Call]) -> list[Part]:
    """Each call in one fragment, without id and index."""
    return [part(call.arguments, call.name) for call in calls]


def whole_objects(calls: Sequence[Call]) -> list[Part]:
    """Each call in one fragment, the arguments as an object."""
    return [
        {"id": f"c{at}", "function": {"name": call.name, "arguments": json.loads(call.arguments)}}
        for at, call in enumerate(calls)
    ]


def flat(calls: Sequence[Call]) -> list[Part]:
    """Name and arguments beside the id, without `function`."""
    return [{"id": f"c{at}", "name": call.name, "arguments": call.arguments} for at, call in enumerate(calls)]


def repeated(calls: Sequence[Call]) -> list[Part]:
    """Id, name and index in every fragment."""
    return [part(piece, call.name, index=at, id=f"c{at}") for at, call in enumerate(calls) for piece in call.pieces]


def repeated_one_index(calls: Sequence[Call]) -> list[Part]:
    """Id and name in every fragment, index 0 for all."""
    return [{**each, "index": 0} for each in repeated(calls)]


def other_ids(calls: Sequence[Call]) -> list[Part]:
    """After a call's first fragment another id, the same for all the others of the call."""
    return [{"id": f"other{each['index']}", **each} for each in documented(calls)]


def random_ids(calls: Sequence[Call]) -> list[Part]:
    """Another id with every fragment; the index is right."""
    return [{**each, "id": f"random{at}"} for at, each in enumerate(documented(calls))]


def wrong_first_index(calls: Sequence[Call]) -> list[Part]:
    """The first fragment of every call has index 0, the others have the right one and no id."""
    return [{**each, "index": 0} if "id" in each else each for each in documented(calls)]


def late_functions(calls: Sequence[Call]) -> list[Part]:
    """First the id, with a null function, then the name, then the arguments, all under index 0."""
    parts: list[Part] = []
    for at, call in enumerate(calls):
        parts += [{"index": 0, "id": f"c{at}", "function": None}, part(None, call.name, index=0)]
        parts += [part(piece, index=0) for piece in call.pieces]
    return parts


def placeholders(calls: Sequence[Call]) -> list[Part]:
    """The arguments begin with an empty object, which is replaced by the real ones."""
    return [
        {**each, "function": {**each["function"], "arguments": "{}"}} if "id" in each else each
        for each in documented(calls)
    ]


def repeated_at_end(calls: Sequence[Call]) -> list[Part]:
    """At the end each call again, complete."""
    again = [part(call.arguments, call.name, index=at, id=f"c{at}") for at, call in enumerate(calls)]
    return [*documented(calls), *again]


def split_names(calls: Sequence[Call]) -> list[Part]:
    """The name in two pieces."""
    parts: list[Part] = []
    for each in documented(calls):
        name = each["function"].get("name")
        parts += (
            [part("", name[:4], index=each["index"], id=each["id"]), part("", name[4:], index=each["index"])]
            if name
            else [each]
        )
    return parts


DIALECTS = (
    documented,
    interleaved,
    interleaved_ids,
    one_index,
    one_index_empty_ids,
    one_index_each_id,
    no_index,
    null_index,
    no_ids,
    names_alone,
    whole,
    whole_nameless,
    whole_objects,
    flat,
    repeated,
    repeated_one_index,
    other_ids,
    random_ids,
    wrong_first_index,
    late_functions,
    placeholders,
    repeated_at_end,
    split_names,
)
