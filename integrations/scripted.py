"""A model that says what it is told to: for tests."""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

from integrations.language import Ended, Finish, Piece, Prompt, Said, ToolCall, Used

Turn = Callable[[Prompt], AsyncGenerator[Piece, None]]


class ScriptedModel:
    """Plays its turns one after the other; `prompts` holds what it was asked, in order."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self.turns = list(turns)
        self.prompts: list[Prompt] = []

    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """The next turn."""
        self.prompts.append(prompt)
        return self.turns.pop(0)(prompt)

    async def aclose(self) -> None:
        """Nothing to close."""


def says(*texts: str, calls: Sequence[ToolCall] = (), finish: Finish = Finish.COMPLETE) -> Turn:
    """A turn of these pieces of text and these calls, which ends as it is told to."""

    async def turn(prompt: Prompt) -> AsyncGenerator[Piece, None]:
        for text in texts:
            yield Said(text)
        yield Used(10, len(texts), 0.001)
        yield Ended(calls, prompt.models[0], finish)

    return turn


def calls(name: str, arguments: str = "{}") -> Turn:
    """A turn that calls one tool."""
    return says(calls=[ToolCall(id="call", name=name, arguments=arguments)])
