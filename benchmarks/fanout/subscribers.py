"""A process with subscribers that counts messages and records the time at which each arrived.

The time is the kernel's (SO_TIMESTAMPNS): when the bytes reached the client's socket, even if this process reads them
later. The benchmark starts it with a JSON object as its argument, and sends commands to its standard input.
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
ANCILLARY_BYTES = socket.CMSG_SPACE(16)
BATCH = 50
TIMEOUT_SECONDS = 60.0
NEXT, SEQUENCE, PING = b'"type":"next"', b'"sequence":', b'"type":"ping"'
TEXT, CLOSE, PING_FRAME, PONG_FRAME = 0x1, 0x8, 0x9, 0xA


@dataclass(slots=True)
class Subscriber:
    """A connection, and the bytes of an incomplete frame."""

    socket: socket.socket
    rest: bytes = b""


@dataclass(slots=True)
class Arrivals:
    """The times of arrival by sequence, and the number of closed connections."""

    times: dict[int, "array[float]"] = field(default_factory=lambda: defaultdict(lambda: array("d")))
    messages: int = 0
    lost: int = 0


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's WebSocket frame, masked with zeros."""
    size = len(payload)
    head = bytes([0x80 | opcode, 0x80 | size]) if size < 126 else struct.pack("!BBH", 0x80 | opcode, 0xFE, size)
    return head + bytes(4) + payload


def frames(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The complete frames of a server: opcode, payload, and the offset of the next frame."""
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


def receive(subscriber: Subscriber, arrivals: Arrivals) -> bool:
    """Read a subscriber's messages. Returns False if the connection is closed."""
    data, ancillary, _, _ = subscriber.socket.recvmsg(65_536, ANCILLARY_BYTES)
    if not data:
        return False
    arrived = time()
    for _, kind, value in ancillary:
        if kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", value)
            arrived = seconds + nanoseconds / 1e9
    used = 0
    data = subscriber.rest + data
    for opcode, payload, used in frames(data):  # noqa: B007 - the last value is used below
        if opcode == TEXT and NEXT in payload:
            start = payload.index(SEQUENCE) + len(SEQUENCE)
            arrivals.times[int(payload[start : payload.index(b",", start)])].append(arrived)
            arrivals.messages += 1
        elif opcode == TEXT and PING in payload:
            subscriber.socket.sendall(frame(b'{"type":"pong"}'))
        elif opcode == PING_FRAME:
            subscriber.socket.sendall(frame(payload, PONG_FRAME))
        elif opcode in (CLOSE, TEXT):
            sys.stderr.write(f"a subscriber received {payload[:300]!r}\n")
    subscriber.rest = data[used:]
    return True


def connect(arguments: dict[str, Any]) -> list[Subscriber]:
    """Connect the subscribers; returns when each has its first message."""
    address = ("127.0.0.1", arguments["port"])
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = (
        f"GET {arguments['path']} HTTP/1.1\r\nHost: 127.0.0.1:{arguments['port']}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    ).encode()
    steps = [
        (upgrade, b"\r\n\r\n"),
        (frame(json.dumps({"type": "connection_init", "payload": arguments["init"]}).encode()), b"connection_ack"),
        (frame(json.dumps({"id": "1", "type": "subscribe", "payload": arguments["operation"]}).encode()), NEXT),
    ]
    created: list[Subscriber] = []
    for start in range(0, arguments["count"], BATCH):
        sockets = [
            socket.create_connection(address, TIMEOUT_SECONDS) for _ in range(min(BATCH, arguments["count"] - start))
        ]
        for request, response in steps:
            for each in sockets:
                each.sendall(request)
            for each in sockets:
                read_until(each, response)
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            created.append(Subscriber(each))
    return created


def read_until(connection: socket.socket, response: bytes) -> None:
    """Read until the data contains the response."""
    data = b""
    while response not in data:
        more = connection.recv(65_536)
        if not more:
            raise RuntimeError(f"the server closed the connection after {data[:500]!r}")
        data += more


def serve(subscribers: list[Subscriber]) -> None:
    """Read messages, and execute the commands `count`, `clear`, `report` with the events' times, and `quit`."""
    arrivals = Arrivals()
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
                arrivals = execute(command.strip(), argument, arrivals)
            elif not receive(by_number[number], arrivals):
                arrivals.lost += 1
                poll.unregister(number)


def execute(command: str, argument: str, arrivals: Arrivals) -> Arrivals:
    """Execute a command and print a line; returns the counters to use from now on."""
    if command == "clear":
        write_line({})
        return Arrivals()
    write_line({"messages": arrivals.messages} if command == "count" else report(arrivals, json.loads(argument)))
    return arrivals


def report(arrivals: Arrivals, published: dict[str, float]) -> dict[str, float]:
    """Latencies in milliseconds, from the publication to the arrival at the client."""
    latencies = sorted(
        (arrived - published[str(sequence)]) * 1000
        for sequence, times in arrivals.times.items()
        if str(sequence) in published
        for arrived in times
    )
    last = len(latencies) - 1
    p50, p99 = (latencies[min(last, int((last + 1) * share))] if latencies else 0.0 for share in (0.5, 0.99))
    return {"messages": len(latencies), "p50_ms": p50, "p99_ms": p99, "lost": arrivals.lost}


def write_line(value: dict[str, Any]) -> None:
    """Write a line of JSON to standard output."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Connect, report it, serve."""
    subscribers = connect(json.loads(sys.argv[1]))
    write_line({"connected": len(subscribers)})
    # Real clients run on other machines: give the database on this core priority over them, for every server alike.
    # The arrival times are the kernel's and not affected.
    os.nice(10)
    serve(subscribers)


if __name__ == "__main__":
    main()
