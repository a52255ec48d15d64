"""Parsing the chunks of a streamed chat completion, as different servers send them.

Any field may be null, missing, or of another type than documented. A chunk that cannot be used is skipped, and does
not affect the text of the others.
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from integrations.language import Finish, ModelFailed, ModelRefused, ModelUnavailable, ReplyEnd, TokenUsage
from integrations.tool_calls import MAX_NAME, Fragment, ToolCalls

# Statuses after which a retry is useless: the request, the key, the credit or the content is refused.
_REFUSALS: Final = frozenset({400, 401, 402, 403, 404, 413, 422})
MAX_TOKENS: Final = 1_000_000_000
MAX_COST: Final = 100_000.0  # dollars
# The finish reasons of OpenAI, and those of Gemini, Anthropic and Mistral that other servers pass on.
_FINISHES: Final[Mapping[str, Finish]] = {
    **dict.fromkeys(("length", "max_tokens", "model_length", "max_output_tokens"), Finish.LENGTH),
    **dict.fromkeys(
        ("content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii"), Finish.FILTERED
    ),
    "refusal": Finish.REFUSED,
}
_NO_FINISH: Final = frozenset({"", "null", "none", "error"})
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HIGH_SURROGATES: Final = ("\ud800", "\udbff")


class Completion:
    """The state of one stream. `tools` are the names of the tools that were offered to the model."""

    def __init__(self, model: str, tools: Collection[str] = ()) -> None:
        self.model = model
        self.calls = ToolCalls(tools=tools)
        self.used = TokenUsage(0, 0, None)
        self.finish: Finish | None = None
        self.failure: ModelFailed | None = None
        self.is_done = False
        self.is_refused = False
        self.has_text = False
        self.high_surrogate = ""

    def add_chunk(self, chunk: object) -> str:
        """Add a chunk; returns the text in it."""
        if not isinstance(chunk, Mapping):
            return ""
        self.model = _text_of(chunk.get("model"))[:MAX_NAME] or self.model
        text = ""
        for choice in _mappings(chunk.get("choices")):
            text += self._choice(choice)
            self._usage(choice.get("usage"))
        self._usage(chunk.get("usage"))
        for extra in _mappings(chunk.get("x_groq")):
            self._usage(extra.get("usage"))
        if chunk.get("error"):
            self._error(chunk["error"])
        return self._join_surrogates(text)

    @property
    def is_finished(self) -> bool:
        """Whether the server has sent the finish reason, and no error."""
        return self.finish is not None and self.failure is None

    def ended(self) -> ReplyEnd:
        """The end of the reply. Raises `ModelFailed` after an error of the server, or if the stream broke off."""
        if self.failure is not None:
            raise self.failure
        calls = self.calls.finish()
        finish = self.finish
        if finish is None and self.is_done and (self.has_text or calls):
            finish = Finish.COMPLETE
        if finish is None:
            raise ModelUnavailable("The reply ended unexpectedly.")
        if self.is_refused and finish is Finish.COMPLETE:
            finish = Finish.REFUSED
        return ReplyEnd(calls=calls, model=self.model, finish=finish)

    def _choice(self, choice: Mapping[str, Any]) -> str:
        delta, message = choice.get("delta"), choice.get("message")
        if not (isinstance(delta, Mapping) and delta) and not self.has_text and not self.calls.drafts:
            delta = message  # from a server that does not stream, or sends all text in its last chunk
        text = self._delta(delta) if isinstance(delta, Mapping) else ""
        self.has_text = self.has_text or bool(text)
        if choice.get("error"):
            self._error(choice["error"])
        reason = _text_of(choice.get("finish_reason")).strip().lower()
        if reason == "error" and self.failure is None:
            self.failure = ModelUnavailable("The provider failed in the middle of the reply.")
        if reason not in _NO_FINISH and self.finish in {None, Finish.COMPLETE}:
            self.finish = _FINISHES.get(reason, Finish.COMPLETE)
        return text

    def _delta(self, delta: Mapping[str, Any]) -> str:
        for part in _mappings(delta.get("tool_calls")):
            self._call(part)
        for part in _mappings(delta.get("function_call")):
            self._call({"function": part})
        return "".join(self._texts(delta.get("content"))) + self._refusal(delta.get("refusal"))

    def _texts(self, content: object) -> Iterator[str]:
        """The texts of a message's content; reasoning and images are skipped."""
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, str | Mapping):
                    yield from self._texts(part)
        elif isinstance(content, Mapping):
            kind = content.get("type")
            if kind == "refusal":
                yield self._refusal(content.get("refusal"))
            elif kind in {None, "text", "output_text"}:
                yield _text_of(content.get("text"))

    def _refusal(self, text: object) -> str:
        self.is_refused = self.is_refused or bool(_text_of(text).strip())
        return _text_of(text)

    def _call(self, part: Mapping[str, Any]) -> None:
        function = part.get("function")
        if not isinstance(function, Mapping):
            function = part if function is None else {}
        arguments = function.get("arguments")
        if isinstance(arguments, Mapping | list):
            arguments = encode_arguments(arguments)
        call_id = part.get("id")
        fragment = Fragment(
            index=whole_number(part.get("index")),
            id=str(call_id)[:MAX_NAME] if isinstance(call_id, str | int) else "",
            name=_text_of(function.get("name"))[:MAX_NAME],
            arguments=_text_of(arguments),
        )
        if fragment != Fragment():
            self.calls.add(fragment)

    def _usage(self, usage: object) -> None:
        """Update the usage with plausible numbers; null, zero, NaN, infinite or negative ones are ignored."""
        if not isinstance(usage, Mapping):
            return
        prompt = _number_of(usage, MAX_TOKENS, "prompt_tokens", "input_tokens")
        completion = _number_of(usage, MAX_TOKENS, "completion_tokens", "output_tokens")
        if not prompt and not completion:
            prompt = _number_of(usage, MAX_TOKENS, "total_tokens")
        cost = _number_of(usage, MAX_COST, "cost", "total_cost")
        self.used = TokenUsage(
            int(prompt or self.used.prompt_tokens),
            int(completion or self.used.completion_tokens),
            cost or self.used.cost or cost,
        )

    def _error(self, error: object) -> None:
        """Record an error of the server, unless the reply was complete before."""
        code = error.get("code") if isinstance(error, Mapping) else None
        if code == "content_filter":
            self.finish = Finish.FILTERED
        elif self.finish is None:
            self.failure = failure(whole_number(code) or 0)

    def _join_surrogates(self, text: str) -> str:
        """The text, with surrogate pairs joined that were split between two chunks."""
        if self.high_surrogate or _SURROGATE.search(text):
            text, self.high_surrogate = self.high_surrogate + text, ""
            if _HIGH_SURROGATES[0] <= text[-1:] <= _HIGH_SURROGATES[1]:
                text, self.high_surrogate = text[:-1], text[-1]
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
        return text


def failure(status: int) -> ModelRefused | ModelUnavailable:
    """The error for an HTTP status, or for the code of an error within the stream."""
    if status in _REFUSALS:
        return ModelRefused(f"The model's server refused the request ({status}).")
    return ModelUnavailable(f"The model is not available ({status or 'no status'}).")


def _mappings(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list, or the single object in place of a list."""
    if isinstance(value, Mapping):
        return [value]
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _text_of(value: object) -> str:
    """The text, or "" for anything else."""
    return value if isinstance(value, str) else ""


def encode_arguments(arguments: object) -> str:
    """Arguments that were sent as a JSON value, as JSON text; invalid JSON if they are nested too deeply."""
    try:
        return json.dumps(arguments)
    except RecursionError:
        return "["


def whole_number(value: object) -> int | None:
    """A non-negative integer, also from a text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(MAX_TOKENS)):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_TOKENS else None


def _number_of(usage: Mapping[str, Any], maximum: float, *names: str) -> float | None:
    """The first of the named values that is a number from 0 to `maximum`, also from a text."""
    for name in names:
        value = usage.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            number = float(value)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(number) and 0 <= number <= maximum:
            return number
    return None
