"""What the chunks of a chat completion say, whichever server made them.

Any field may be null, missing, or of another type than the documentation says. A chunk that cannot be used is left
out; it never costs the text of the others.
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from integrations.language import Ended, Finish, ModelFailed, ModelRefused, ModelUnavailable, Used
from integrations.tool_calls import MAX_NAME, Fragment, ToolCalls

# What a server may refuse for good: the request, the key, the credit, the content.
REFUSALS: Final = frozenset({400, 401, 402, 403, 404, 413, 422})
MAX_TOKENS: Final = 1_000_000_000
MAX_COST: Final = 100_000.0  # dollars
# The reasons of OpenAI, and those that others pass through from Gemini, Anthropic and Mistral.
FINISHES: Final[Mapping[str, Finish]] = {
    **dict.fromkeys(("length", "max_tokens", "model_length", "max_output_tokens"), Finish.LENGTH),
    **dict.fromkeys(
        ("content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii"), Finish.FILTERED
    ),
    "refusal": Finish.REFUSED,
}
NO_FINISH: Final = frozenset({"", "null", "none", "error"})
HALF: Final = re.compile("[\ud800-\udfff]")
HIGH_HALVES: Final = ("\ud800", "\udbff")


class Completion:
    """What one stream has told so far. `tools` are the names of the tools that were offered."""

    def __init__(self, model: str, tools: Collection[str] = ()) -> None:
        self.model = model
        self.calls = ToolCalls(tools=tools)
        self.used = Used(0, 0, None)
        self.finish: Finish | None = None
        self.failure: ModelFailed | None = None
        self.is_done = False
        self.is_refused = False
        self.has_text = False
        self.half = ""

    def take(self, chunk: object) -> str:
        """Note what a chunk tells; the text in it."""
        if not isinstance(chunk, Mapping):
            return ""
        self.model = text_of(chunk.get("model"))[:MAX_NAME] or self.model
        said = ""
        for choice in mappings(chunk.get("choices")):
            said += self._choice(choice)
            self._usage(choice.get("usage"))
        self._usage(chunk.get("usage"))
        for extra in mappings(chunk.get("x_groq")):
            self._usage(extra.get("usage"))
        if chunk.get("error"):
            self._error(chunk["error"])
        return self._whole_characters(said)

    @property
    def is_finished(self) -> bool:
        """Whether the server has said that, and how, the reply ended."""
        return self.finish is not None and self.failure is None

    def ended(self) -> Ended:
        """The end of the reply. Raises `ModelFailed` when the server failed, or went away in the middle."""
        if self.failure is not None:
            raise self.failure
        calls = self.calls.finish()
        finish = self.finish
        if finish is None and self.is_done and (self.has_text or calls):
            finish = Finish.COMPLETE
        if finish is None:
            raise ModelUnavailable("The reply broke off.")
        if self.is_refused and finish is Finish.COMPLETE:
            finish = Finish.REFUSED
        return Ended(calls=calls, model=self.model, finish=finish)

    def _choice(self, choice: Mapping[str, Any]) -> str:
        delta, message = choice.get("delta"), choice.get("message")
        if not (isinstance(delta, Mapping) and delta) and not self.has_text and not self.calls.drafts:
            delta = message  # a server that does not stream, or sends the whole in its last chunk alone
        said = self._delta(delta) if isinstance(delta, Mapping) else ""
        self.has_text = self.has_text or bool(said)
        if choice.get("error"):
            self._error(choice["error"])
        reason = text_of(choice.get("finish_reason")).strip().lower()
        if reason == "error" and self.failure is None:
            self.failure = ModelUnavailable("The provider failed in the middle of the reply.")
        if reason not in NO_FINISH and self.finish in {None, Finish.COMPLETE}:
            self.finish = FINISHES.get(reason, Finish.COMPLETE)
        return said

    def _delta(self, delta: Mapping[str, Any]) -> str:
        for part in mappings(delta.get("tool_calls")):
            self._call(part)
        for part in mappings(delta.get("function_call")):
            self._call({"function": part})
        return "".join(self._spoken(delta.get("content"))) + self._refusal(delta.get("refusal"))

    def _spoken(self, content: object) -> Iterator[str]:
        """The text of a content, or of its text parts; thoughts and images are left out."""
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, str | Mapping):
                    yield from self._spoken(part)
        elif isinstance(content, Mapping):
            kind = content.get("type")
            if kind == "refusal":
                yield self._refusal(content.get("refusal"))
            elif kind in {None, "text", "output_text"}:
                yield text_of(content.get("text"))

    def _refusal(self, words: object) -> str:
        self.is_refused = self.is_refused or bool(text_of(words).strip())
        return text_of(words)

    def _call(self, part: Mapping[str, Any]) -> None:
        function = part.get("function")
        if not isinstance(function, Mapping):
            function = part if function is None else {}
        arguments = function.get("arguments")
        if isinstance(arguments, Mapping | list):
            arguments = written(arguments)
        call_id = part.get("id")
        fragment = Fragment(
            index=whole_number(part.get("index")),
            id=str(call_id)[:MAX_NAME] if isinstance(call_id, str | int) else "",
            name=text_of(function.get("name"))[:MAX_NAME],
            arguments=text_of(arguments),
        )
        if fragment != Fragment():
            self.calls.add(fragment)

    def _usage(self, usage: object) -> None:
        """Take the newest figures that can be right: of null, zero, NaN, infinite or negative ones none is."""
        if not isinstance(usage, Mapping):
            return
        prompt = figure(usage, MAX_TOKENS, "prompt_tokens", "input_tokens")
        completion = figure(usage, MAX_TOKENS, "completion_tokens", "output_tokens")
        if not prompt and not completion:
            prompt = figure(usage, MAX_TOKENS, "total_tokens")
        cost = figure(usage, MAX_COST, "cost", "total_cost")
        self.used = Used(
            int(prompt or self.used.prompt_tokens),
            int(completion or self.used.completion_tokens),
            cost or self.used.cost or cost,
        )

    def _error(self, error: object) -> None:
        """Note a failure, unless the reply was complete before."""
        code = error.get("code") if isinstance(error, Mapping) else None
        if code == "content_filter":
            self.finish = Finish.FILTERED
        elif self.finish is None:
            self.failure = failure(whole_number(code) or 0)

    def _whole_characters(self, said: str) -> str:
        """The text, where a character whose two halves came in two chunks is one again."""
        if self.half or HALF.search(said):
            said, self.half = self.half + said, ""
            if HIGH_HALVES[0] <= said[-1:] <= HIGH_HALVES[1]:
                said, self.half = said[:-1], said[-1]
            said = said.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
        return said


def failure(status: int) -> ModelRefused | ModelUnavailable:
    """A status of the server, before the first token or in the middle."""
    if status in REFUSALS:
        return ModelRefused(f"The model's server refused the request ({status}).")
    return ModelUnavailable(f"The model is not available ({status or 'no status'}).")


def mappings(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list, or the object that stands where a list should."""
    if isinstance(value, Mapping):
        return [value]
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def text_of(value: object) -> str:
    """The text, or "" for anything else."""
    return value if isinstance(value, str) else ""


def written(arguments: object) -> str:
    """Arguments that came as JSON values, as the text they should have been; no JSON when nested too deep."""
    try:
        return json.dumps(arguments)
    except RecursionError:
        return "["


def whole_number(value: object) -> int | None:
    """A whole number from 0 on, also one that is written as a text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(MAX_TOKENS)):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_TOKENS else None


def figure(usage: Mapping[str, Any], most: float, *names: str) -> float | None:
    """The first of these figures that is a number from 0 to `most`, also one that is written as a text."""
    for name in names:
        value = usage.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            number = float(value)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(number) and 0 <= number <= most:
            return number
    return None
