"""Subscribers as a process of their own: they read, count, and take the time at which each message arrived.

The time is the kernel's (SO_TIMESTAMPNS): when the bytes reached the client's socket, however long this process then
takes to pick them up. Run by the benchmark with a JSON object as its argument; it obeys lines on its standard input.
"""

import base64
import json
import os
import select
import socket
import struct
import sys
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import time
from typing import Any

SO_TIMESTAMPNS = 35
ROOM = socket.CMSG_SPACE(16)
AT_ONCE = 50
TIMEOUT_SECONDS = 60.0
NEXT, SEQUENCE, PING = b'"type":"next"', b'"sequence":', b'"type":"ping"'
TEXT, CLOSE, PING_FRAME, PONG_FRAME = 0x1, 0x8, 0x9, 0xA


@dataclass(slots=True)
class Subscriber:
    """A connection, and the bytes of a frame that is not whole yet."""

    socket: socket.socket
    rest: bytes = b""


@dataclass(slots=True)
class Seen:
    """What arrived: the times by sequence, and the connections that ended."""

    times: dict[int, "array[float]"] = field(default_factory=lambda: defaultdict(lambda: array("d")))
    messages: int = 0
    lost: int = 0


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(payload)
    head = bytes([0x80 | opcode, 0x80 | size]) if size < 126 else struct.pack("!BBH", 0x80 | opcode, 0xFE, size)
    return head + bytes(4) + payload


def frames(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The whole frames of a server: opcode, payload, and where the next one begins."""
    at, end = 0, len(data)
    while end - at >= 2:
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if start + size > end:
            return
        yield data[at] & 0xF, data[start : start + size], start + size
        at = start + size


def receive(subscriber: Subscriber, seen: Seen) -> bool:
    """Take what has come for a subscriber; False when the connection has ended."""
    data, ancillary, _, _ = subscriber.socket.recvmsg(65_536, ROOM)
    if not data:
        return False
    arrived = time()
    for _, kind, value in ancillary:
        if kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", value)
            arrived = seconds + nanoseconds / 1e9
    used = 0
    data = subscriber.rest + data
    for opcode, payload, used in frames(data):  # noqa: B007 - the last one counts
        if opcode == TEXT and NEXT in payload:
            start = payload.index(SEQUENCE) + len(SEQUENCE)
            seen.times[int(payload[start : payload.index(b",", start)])].append(arrived)
            seen.messages += 1
        elif opcode == TEXT and PING in payload:
            subscriber.socket.sendall(frame(b'{"type":"pong"}'))
        elif opcode == PING_FRAME:
            subscriber.socket.sendall(frame(payload, PONG_FRAME))
        elif opcode in (CLOSE, TEXT):
            sys.stderr.write(f"a subscriber was told {payload[:300]!r}\n")
    subscriber.rest = data[used:]
    return True


def connect(given: dict[str, Any]) -> list[Subscriber]:
    """So many subscribers, each of which has its first message."""
    address = ("127.0.0.1", given["port"])
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = (
        f"GET {given['path']} HTTP/1.1\r\nHost: 127.0.0.1:{given['port']}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    ).encode()
    steps = [
        (upgrade, b"\r\n\r\n"),
        (frame(json.dumps({"type": "connection_init", "payload": given["init"]}).encode()), b"connection_ack"),
        (frame(json.dumps({"id": "1", "type": "subscribe", "payload": given["operation"]}).encode()), NEXT),
    ]
    made: list[Subscriber] = []
    for start in range(0, given["count"], AT_ONCE):
        sockets = [
            socket.create_connection(address, TIMEOUT_SECONDS) for _ in range(min(AT_ONCE, given["count"] - start))
        ]
        for request, answer in steps:
            for each in sockets:
                each.sendall(request)
            for each in sockets:
                await_answer(each, answer)
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            made.append(Subscriber(each))
    return made


def await_answer(connection: socket.socket, answer: bytes) -> None:
    """Read until the answer is there."""
    data = b""
    while answer not in data:
        more = connection.recv(65_536)
        if not more:
            raise RuntimeError(f"hung up after {data[:500]!r}")
        data += more


def follow(subscribers: list[Subscriber]) -> None:
    """Read from everybody; obey `count`, `clear`, and `quit`; `report` with the times at which events were told."""
    seen = Seen()
    by_number = {each.socket.fileno(): each for each in subscribers}
    poll = select.epoll()
    poll.register(0, select.EPOLLIN)
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            if number == 0:
                command, _, argument = sys.stdin.readline().partition(" ")
                if command.strip() in ("quit", ""):
                    return
                seen = obey(command.strip(), argument, seen)
            elif not receive(by_number[number], seen):
                seen.lost += 1
                poll.unregister(number)


def obey(command: str, argument: str, seen: Seen) -> Seen:
    """Answer a command with a line; what is seen from now on."""
    if command == "clear":
        say({})
        return Seen()
    say({"messages": seen.messages} if command == "count" else report(seen, json.loads(argument)))
    return seen


def report(seen: Seen, told: dict[str, float]) -> dict[str, float]:
    """Latencies in milliseconds, from telling the server to the arrival at the client."""
    late = sorted(
        (arrived - told[str(sequence)]) * 1000
        for sequence, times in seen.times.items()
        if str(sequence) in told
        for arrived in times
    )
    at = [late[min(len(late) - 1, int(len(late) * share))] for share in (0.5, 0.99)] if late else [0.0, 0.0]
    return {"messages": len(late), "p50_ms": at[0], "p99_ms": at[1], "lost": seen.lost}


def say(value: dict[str, Any]) -> None:
    """A line to whoever started us."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Connect, say so, follow."""
    subscribers = connect(json.loads(sys.argv[1]))
    say({"connected": len(subscribers)})
    # Clients elsewhere would not take the time of the database on this core: they stand back, at every peer alike.
    # The times of arrival are the kernel's.
    os.nice(10)
    follow(subscribers)


if __name__ == "__main__":
    main()
