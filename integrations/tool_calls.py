"""Assembling tool calls from the fragments of a stream.

Servers differ in how a call can be identified. A new id begins a call, whatever its index; so does a name after
complete arguments. Ids, names and indexes may be missing, repeated in every fragment, or the same for several calls,
and some servers send a new id with every fragment of one call.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from integrations.language import ToolCall

MAX_CALLS: Final = 64
MAX_ARGUMENTS: Final = 20_000
MAX_NAME: Final = 200
_MAX_KEYS: Final = 1_000  # of ids and indexes that are stored
_EMPTY: Final = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """The part of a call in one chunk. Missing values are None or empty."""

    index: int | None = None
    id: str = ""
    name: str = ""
    arguments: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether it has no arguments."""
        return not self.arguments.strip()

    @property
    def begins_object(self) -> bool:
        """Whether its arguments could be the beginning of a JSON object."""
        return self.arguments.lstrip().startswith("{")


@dataclass(slots=True, kw_only=True)
class Draft:
    """A call while its fragments arrive. It is closed when its arguments are a complete JSON object."""

    id: str = ""
    name: str = ""
    index: int | None = None
    arguments: str = ""
    fragments: int = 0
    named: int = 0
    closed: bool = False
    depth: int = 0
    in_text: bool = False
    escaped: bool = False

    def add(self, fragment: Fragment) -> None:
        """Add a fragment, up to the end of complete arguments. Arguments that are too long are cut."""
        self.fragments += 1
        self.named += bool(fragment.name)
        self.id = self.id or fragment.id
        if self.closed and self.is_placeholder and fragment.begins_object:
            self.arguments, self.closed = "", False
        if self.closed or (self.is_blank and fragment.is_blank):
            return
        piece = fragment.arguments[: MAX_ARGUMENTS - len(self.arguments)]
        for position, char in enumerate(piece):
            if self._closes(char):
                piece = piece[: position + 1]
                break
        self.arguments += piece

    def _closes(self, char: str) -> bool:
        """Track the nesting with the next character; whether the arguments are complete with it."""
        if self.in_text:
            self.in_text = self.escaped or char != '"'
            self.escaped = char == "\\" and not self.escaped
        elif char == '"':
            self.in_text = True
        elif char in "{[":
            self.depth += 1
        elif char in "}]":
            self.depth -= 1
            self.closed = self.depth == 0
        return self.closed

    @property
    def is_blank(self) -> bool:
        """Whether it has no arguments yet."""
        return not self.arguments.strip()

    @property
    def is_placeholder(self) -> bool:
        """Whether its arguments are the empty object, which some servers send before the real ones."""
        return "".join(self.arguments.split()) == _EMPTY

    @property
    def names_every_fragment(self) -> bool:
        """Whether the server repeats the name in each fragment."""
        return self.named > 1 and self.named == self.fragments


@dataclass(slots=True, kw_only=True)
class ToolCalls:
    """The calls of one reply. `tools` are the names of offered tools, which distinguish a name from a part of one."""

    tools: Collection[str] = ()
    drafts: list[Draft] = field(default_factory=list)
    by_id: dict[str, Draft] = field(default_factory=dict)
    by_index: dict[int, Draft] = field(default_factory=dict)
    current: Draft | None = None

    def add(self, fragment: Fragment) -> None:
        """Add the next fragment."""
        draft = self._belongs_to(fragment) or self._begin(fragment)
        if fragment.name and draft.name != fragment.name:
            is_whole = fragment.name.startswith(draft.name)
            draft.name = (fragment.name if is_whole else draft.name + fragment.name)[:MAX_NAME]
        draft.add(fragment)
        self.current = draft
        if fragment.id and len(self.by_id) < _MAX_KEYS:
            self.by_id[fragment.id] = draft
        if fragment.index is not None and len(self.by_index) < _MAX_KEYS:
            self.by_index[fragment.index] = draft

    def finish(self) -> list[ToolCall]:
        """The calls in the order of their first fragments, each with a unique id."""
        calls: dict[str, ToolCall] = {}
        for number, draft in enumerate(self.drafts):
            if not draft.name and draft.is_blank:
                continue
            call_id = draft.id if draft.id and draft.id not in calls else f"call_{number}_{len(calls)}"
            calls[call_id] = ToolCall(id=call_id, name=draft.name, arguments=draft.arguments)
        return list(calls.values())

    def _begin(self, fragment: Fragment) -> Draft:
        """Begin a call; one beyond the limit is discarded with its fragments."""
        draft = Draft(index=fragment.index)
        if len(self.drafts) < MAX_CALLS:
            self.drafts.append(draft)
        return draft

    def _belongs_to(self, fragment: Fragment) -> Draft | None:
        """The call that a fragment continues; None if it begins one."""
        if draft := self.by_id.get(fragment.id):
            return None if self._reuses_id(draft, fragment) else draft
        previous = self.current if fragment.index is None else self.by_index.get(fragment.index)
        if fragment.id:
            return previous if previous and _continues_with_new_id(previous, fragment) else None
        if fragment.name:
            return previous if previous and self._continues_with_name(previous, fragment) else None
        return self._continued_without_name(previous, fragment)

    def _reuses_id(self, draft: Draft, fragment: Fragment) -> bool:
        """Whether the fragment is of another call with the same id."""
        if fragment.name and draft.name and fragment.name != draft.name:
            return not self._extends_name(draft, fragment)
        moved = fragment.index is not None and draft.index is not None and fragment.index != draft.index
        if moved and fragment.name and draft.closed:
            return True
        return draft.closed and fragment.begins_object and not _repeats(draft, fragment)

    def _continues_with_name(self, previous: Draft, fragment: Fragment) -> bool:
        """Whether a fragment with a name and without an id continues the previous call."""
        if previous.name == fragment.name:
            return not previous.closed or (fragment.is_blank and previous.names_every_fragment)
        return not previous.name or self._extends_name(previous, fragment)

    def _continued_without_name(self, previous: Draft | None, fragment: Fragment) -> Draft | None:
        """The call to which arguments without id and name belong: one whose arguments are not complete."""
        if previous and (not previous.closed or fragment.is_blank or _repeats(previous, fragment)):
            return previous
        unfinished = [draft for draft in (self.current, *reversed(self.drafts)) if draft and not draft.closed]
        if unfinished:
            return unfinished[0]
        return None if fragment.begins_object else previous or self.current

    def _extends_name(self, draft: Draft, fragment: Fragment) -> bool:
        """Whether a name is the next part of the call's name, or repeats the part received so far."""
        if not self.tools or draft.name in self.tools or not draft.is_blank:
            return False
        joined = draft.name + fragment.name
        return joined in self.tools or fragment.name.startswith(draft.name) or fragment.name not in self.tools


def _continues_with_new_id(previous: Draft, fragment: Fragment) -> bool:
    """Whether a fragment with a new id continues the previous call nevertheless."""
    if not fragment.name:
        return not previous.closed or (previous.is_placeholder and fragment.begins_object)
    if not previous.id and previous.is_blank and previous.name in {"", fragment.name}:
        return True
    continues = not previous.is_blank and not previous.closed and not fragment.is_blank and not fragment.begins_object
    return continues and previous.name == fragment.name and fragment.index is not None


def _repeats(draft: Draft, fragment: Fragment) -> bool:
    """Whether a fragment after complete arguments repeats them, or has those for which `{}` was a placeholder."""
    return fragment.arguments.strip() == draft.arguments.strip() or draft.is_placeholder
