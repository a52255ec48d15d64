"""Tool calls, put together from the fragments of a stream.

Servers do not agree on what tells one call from another. A new id begins a call, whatever index it comes under; so
does a name that comes after complete arguments. Ids, names and indexes may be missing, repeated in every fragment, or
the same for several calls, and some servers send another id with every fragment of one call.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from integrations.language import ToolCall

MAX_CALLS: Final = 64
MAX_ARGUMENTS: Final = 20_000
MAX_NAME: Final = 200
MAX_KEYS: Final = 1_000  # ids and indexes that are remembered
EMPTY: Final = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A part of a call as one chunk has it. Whatever was missing is None or empty."""

    index: int | None = None
    id: str = ""
    name: str = ""
    arguments: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether it adds nothing to the arguments."""
        return not self.arguments.strip()

    @property
    def begins_object(self) -> bool:
        """Whether its arguments could be the beginning of a call's."""
        return self.arguments.lstrip().startswith("{")


@dataclass(slots=True, kw_only=True)
class Draft:
    """A call while its fragments arrive. It is closed when its arguments are one whole JSON object."""

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
        """Take a fragment, less what follows complete arguments. Arguments that are too long are cut."""
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
        """Whether the arguments are complete with the next character."""
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
        return "".join(self.arguments.split()) == EMPTY

    @property
    def names_every_fragment(self) -> bool:
        """Whether its server repeats the name in each fragment."""
        return self.named > 1 and self.named == self.fragments


@dataclass(slots=True, kw_only=True)
class ToolCalls:
    """The calls of one reply. `tools` are the names that were offered; they tell a name from a piece of one."""

    tools: Collection[str] = ()
    drafts: list[Draft] = field(default_factory=list)
    by_id: dict[str, Draft] = field(default_factory=dict)
    by_index: dict[int, Draft] = field(default_factory=dict)
    current: Draft | None = None

    def add(self, fragment: Fragment) -> None:
        """Take the next fragment."""
        draft = self._belongs_to(fragment) or self._begin(fragment)
        if fragment.name and draft.name != fragment.name:
            is_whole = fragment.name.startswith(draft.name)
            draft.name = (fragment.name if is_whole else draft.name + fragment.name)[:MAX_NAME]
        draft.add(fragment)
        self.current = draft
        if fragment.id and len(self.by_id) < MAX_KEYS:
            self.by_id[fragment.id] = draft
        if fragment.index is not None and len(self.by_index) < MAX_KEYS:
            self.by_index[fragment.index] = draft

    def finish(self) -> list[ToolCall]:
        """The calls in the order in which they began, each with an id of its own."""
        found: dict[str, ToolCall] = {}
        for number, draft in enumerate(self.drafts):
            if not draft.name and draft.is_blank:
                continue
            call_id = draft.id if draft.id and draft.id not in found else f"call_{number}_{len(found)}"
            found[call_id] = ToolCall(id=call_id, name=draft.name, arguments=draft.arguments)
        return list(found.values())

    def _begin(self, fragment: Fragment) -> Draft:
        """A new call; beyond the limit its fragments are gathered for nothing."""
        draft = Draft(index=fragment.index)
        if len(self.drafts) < MAX_CALLS:
            self.drafts.append(draft)
        return draft

    def _belongs_to(self, fragment: Fragment) -> Draft | None:
        """The call that a fragment continues; None when it begins one."""
        if known := self.by_id.get(fragment.id):
            return None if self._reuses_id(known, fragment) else known
        near = self.current if fragment.index is None else self.by_index.get(fragment.index)
        if fragment.id:
            return near if near and _goes_on_under_new_id(near, fragment) else None
        if fragment.name:
            return near if near and self._goes_on_by_name(near, fragment) else None
        return self._goes_on_nameless(near, fragment)

    def _reuses_id(self, known: Draft, fragment: Fragment) -> bool:
        """Whether another call comes under an id that a call has already."""
        if fragment.name and known.name and fragment.name != known.name:
            return not self._extends_name(known, fragment)
        moved = fragment.index is not None and known.index is not None and fragment.index != known.index
        if moved and fragment.name and known.closed:
            return True
        return known.closed and fragment.begins_object and not _repeats(known, fragment)

    def _goes_on_by_name(self, near: Draft, fragment: Fragment) -> bool:
        """Whether a fragment with a name and without an id continues the call before it."""
        if near.name == fragment.name:
            return not near.closed or (fragment.is_blank and near.names_every_fragment)
        return not near.name or self._extends_name(near, fragment)

    def _goes_on_nameless(self, near: Draft | None, fragment: Fragment) -> Draft | None:
        """The call that arguments without id and name belong to: the one that still wants some."""
        if near and (not near.closed or fragment.is_blank or _repeats(near, fragment)):
            return near
        unfinished = [draft for draft in (self.current, *reversed(self.drafts)) if draft and not draft.closed]
        if unfinished:
            return unfinished[0]
        return None if fragment.begins_object else near or self.current

    def _extends_name(self, draft: Draft, fragment: Fragment) -> bool:
        """Whether a name is the next piece of a call's name, or the name as far as it is known by now."""
        if not self.tools or draft.name in self.tools or not draft.is_blank:
            return False
        joined = draft.name + fragment.name
        return joined in self.tools or fragment.name.startswith(draft.name) or fragment.name not in self.tools


def _goes_on_under_new_id(near: Draft, fragment: Fragment) -> bool:
    """Whether a fragment under an id that is new continues a call all the same."""
    if not fragment.name:
        return not near.closed or (near.is_placeholder and fragment.begins_object)
    if not near.id and near.is_blank and near.name in {"", fragment.name}:
        return True
    continues = not near.is_blank and not near.closed and not fragment.is_blank and not fragment.begins_object
    return continues and near.name == fragment.name and fragment.index is not None


def _repeats(draft: Draft, fragment: Fragment) -> bool:
    """Whether a fragment after complete arguments says nothing new: the same once more, or what `{}` stood for."""
    return fragment.arguments.strip() == draft.arguments.strip() or draft.is_placeholder
