"""The latest chat completion requests, for tests."""

import time
from collections import deque
from dataclasses import asdict, dataclass

from sandbox.wire import JsonObject

MAX_CALLS = 200


@dataclass(slots=True, kw_only=True)
class Call:
    """A chat completion. `ended` is open, finished, failed, cut, or aborted (the client closed the stream)."""

    generation_id: str
    at: float
    model: str
    stream: bool
    request: JsonObject
    ended: str = "open"


class Calls:
    """The latest chat completions."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=MAX_CALLS)

    def add(self, generation_id: str, model: str, request: JsonObject) -> Call:
        """Store a request."""
        call = Call(
            generation_id=generation_id,
            at=time.time(),
            model=model,
            stream=request.get("stream") is True,
            request=request,
        )
        self._calls.append(call)
        return call

    def show(self) -> list[JsonObject]:
        """The stored requests, oldest first."""
        return [asdict(call) for call in self._calls]

    def reset(self) -> None:
        """Delete all."""
        self._calls.clear()
