"""Deviations from the documentation that real model servers show in streams, each a switch in `stream`."""

import json
import secrets
from collections.abc import Iterator

from sandbox.faults import Faults
from sandbox.streams import SWITCHES
from sandbox.wire import JsonObject

THOUGHT = "The user wants to know something."
NULLS = ("content", "refusal", "tool_calls", "function_call", "role", "audio")
GARBAGE: tuple[JsonObject, ...] = (
    {"prompt_tokens": float("nan"), "completion_tokens": float("inf"), "cost": float("nan")},
    {"prompt_tokens": -5, "completion_tokens": "many", "cost": -1.5},
    {"prompt_tokens": None, "completion_tokens": True, "cost": [1]},
)


class Oddities:
    """The active oddities of a stream."""

    def __init__(self, faults: Faults) -> None:
        self.on = frozenset(name for name in SWITCHES if faults.take("stream", name))
        self.text = ""
        self.calls: list[JsonObject] = []

    def encoded(self, chunk: JsonObject) -> Iterator[bytes]:
        """The lines to send for the next chunk."""
        for odd in self._odd(chunk):
            yield from self._lines(odd)

    def end(self) -> Iterator[bytes]:
        """The lines to send at the end of a complete stream."""
        if "no_done" not in self.on:
            yield self._ended("data: [DONE]")

    def _lines(self, chunk: JsonObject) -> Iterator[bytes]:
        if "comments" in self.on:
            yield self._ended(": keep-alive")
        if "unreadable_lines" in self.on:
            yield self._ended('data: {"choices": [{"delta": {"content": "lo')
        yield self._ended(f"data: {json.dumps(chunk)}")

    def _ended(self, line: str) -> bytes:
        end = "\r\n" if "crlf" in self.on else "\n"
        return f"{line}{end if 'dense' in self.on else end + end}".encode()

    def _odd(self, chunk: JsonObject) -> Iterator[JsonObject]:
        """The chunks to send in place of a documented one."""
        choices = chunk["choices"]
        if not isinstance(choices, list) or not choices:
            yield from self._usage(chunk)
            return
        if "empty_choices" in self.on:
            yield from ({**chunk, "choices": []}, {**chunk, "choices": None}, {"id": chunk["id"]})
        if "reasoning" in self.on:
            yield {
                **chunk,
                "choices": [{**choices[0], "delta": {"reasoning_content": THOUGHT}, "finish_reason": None}],
            }
        finish = choices[0]["finish_reason"]
        for delta in self._deltas(choices[0]["delta"], is_last=finish is not None):
            yield self._with(chunk, choices[0], delta)
        if finish is not None and "error_after_end" in self.on:
            yield {**chunk, "choices": [], "error": {"code": 502, "message": "Provider disconnected."}}

    def _with(self, chunk: JsonObject, choice: JsonObject, delta: JsonObject) -> JsonObject:
        finish = choice["finish_reason"]
        changed: JsonObject = {**choice, "delta": delta}
        if "null_fields" in self.on:
            changed["delta"] = {**dict.fromkeys(NULLS), **delta}
        if finish is not None and "null_delta" in self.on:
            changed["delta"] = None
        if finish is not None and "whole_message" in self.on:
            changed |= {"delta": None, "message": {"content": self.text or None, "tool_calls": self.calls or None}}
        if "no_finish" in self.on:
            changed["finish_reason"] = None
        return {**chunk, "choices": [changed]}

    def _deltas(self, delta: JsonObject, *, is_last: bool) -> Iterator[JsonObject]:
        """The deltas to send in place of one."""
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            for odd in self._fragments(calls[0]):
                yield {**delta, "tool_calls": [odd]}
            return
        text = str(delta.get("content") or "")
        self.text += text
        if is_last and "repeated_calls" in self.on:
            yield {"tool_calls": self.calls}
        elif "whole_message" in self.on and not is_last:
            return
        elif "split_characters" in self.on and not text.isascii():
            units = text.encode("utf-16-le")
            for start in range(0, len(units), 2):
                yield {"content": units[start : start + 2].decode("utf-16-le", "surrogatepass")}
        elif "refusal" in self.on:
            yield {"refusal": text}
        elif "content_parts" in self.on:
            yield {"content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": text}]}
        else:
            yield delta

    def _fragments(self, fragment: JsonObject) -> Iterator[JsonObject]:
        """The fragments of tool calls to send in place of one."""
        function = fragment["function"]
        if not isinstance(function, dict):
            return
        if "id" in fragment:
            self.calls.append({**fragment, "function": dict(function)})
        else:
            built = self.calls[-1]["function"]
            if isinstance(built, dict):
                built["arguments"] += function["arguments"]
        if self.on & {"whole_message", "whole_calls", "argument_objects"}:
            yield from self._whole()
            return
        odd = {**fragment, "function": dict(function)}
        if "id" in fragment and "late_functions" in self.on:
            yield self._identified({**odd, "function": None})
            odd = {"index": fragment["index"], "function": dict(function)}
        if "id" in fragment and "placeholder_arguments" in self.on:
            odd["function"] = {**function, "arguments": "{}"}
        yield self._identified(odd)

    def _whole(self) -> Iterator[JsonObject]:
        """The latest call, as soon as its arguments are complete."""
        call = self.calls[-1]
        function = call["function"]
        arguments = function["arguments"] if isinstance(function, dict) else ""
        try:
            parsed = json.loads(arguments)
        except ValueError:
            return
        if "whole_message" not in self.on and isinstance(function, dict):
            odd = parsed if "argument_objects" in self.on else arguments
            yield self._identified({**call, "function": {**function, "arguments": odd}})

    def _identified(self, fragment: JsonObject) -> JsonObject:
        """A fragment with its id, name and index changed by the switches."""
        head = self.calls[-1]
        function, whole = fragment["function"], head["function"]
        odd = dict(fragment)
        if "id" not in fragment and "empty_ids" in self.on:
            odd["id"] = ""
        if "id" not in fragment and "changing_ids" in self.on:
            odd["id"] = head.setdefault("other_id", f"other_{secrets.token_hex(6)}")
        if "repeated_names" in self.on and isinstance(function, dict) and isinstance(whole, dict):
            odd |= {"id": head["id"], "function": {**function, "name": whole["name"]}}
        if "no_ids" in self.on:
            odd.pop("id", None)
        if "same_index" in self.on:
            odd["index"] = 0
        if "no_index" in self.on:
            del odd["index"]
        return odd

    def _usage(self, chunk: JsonObject) -> Iterator[JsonObject]:
        """The usage chunk, changed by the switches."""
        usage = chunk["usage"]
        if "usage_garbage" in self.on:
            yield from ({**chunk, "usage": figures} for figures in GARBAGE)
        if "usage_in_choice" in self.on:
            yield {**chunk, "choices": [{"index": 0, "delta": {}, "usage": usage}], "usage": None}
        elif "no_usage" not in self.on:
            yield chunk
        if "usage_again" in self.on and isinstance(usage, dict):
            yield {**chunk, "usage": dict.fromkeys(usage, 0)}
            yield {**chunk, "usage": dict.fromkeys(usage)}
