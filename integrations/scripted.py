"""A language model with scripted replies, for tests."""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

from integrations.language import Finish, Prompt, ReplyEnd, ReplyPiece, TextPiece, TokenUsage, ToolCall

ScriptedReply = Callable[[Prompt], AsyncGenerator[ReplyPiece, None]]


class ScriptedModel:
    """Gives its replies one after the other; `prompts` has the prompts in order."""

    def __init__(self, replies: Iterable[ScriptedReply]) -> None:
        self.replies = list(replies)
        self.prompts: list[Prompt] = []

    def stream(self, prompt: Prompt) -> AsyncGenerator[ReplyPiece, None]:
        """The next reply."""
        self.prompts.append(prompt)
        return self.replies.pop(0)(prompt)

    async def aclose(self) -> None:
        """Nothing to close."""


def text_reply(*texts: str, calls: Sequence[ToolCall] = (), finish: Finish = Finish.COMPLETE) -> ScriptedReply:
    """A reply of these pieces of text and these calls."""

    async def reply(prompt: Prompt) -> AsyncGenerator[ReplyPiece, None]:
        for text in texts:
            yield TextPiece(text)
        yield TokenUsage(10, len(texts), 0.001)
        yield ReplyEnd(calls, prompt.models[0], finish)

    return reply


def tool_call(name: str, arguments: str = "{}") -> ScriptedReply:
    """A reply that calls one tool."""
    return text_reply(calls=[ToolCall(id="call", name=name, arguments=arguments)])
