"""Counts requests by client program, for the metrics."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final, TypeAlias

from prometheus_client.core import CounterMetricFamily

MAX_CLIENTS: Final = 100
MAX_CLIENTS_OF_CALLER: Final = 10
NAME_HEADERS: Final = (b"apollographql-client-name", b"graphql-client-name")
VERSION_HEADERS: Final = (b"apollographql-client-version", b"graphql-client-version")
LABEL = re.compile(rb"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}")


Client: TypeAlias = tuple[bytes, bytes]
"""The name and the version that a client program sends in its headers."""

OTHER: Final[Client] = (b"other", b"")


class ClientCounts:
    """Requests by client program, for at most 100 names and versions; the rest is counted as `other`.

    A name becomes a label of the metrics with the first request of an authenticated caller. Each organization adds at
    most 10, so that neither unauthenticated callers nor one organization can use up the labels.
    """

    def __init__(self) -> None:
        self.counts: dict[Client, int] = {OTHER: 0}
        self.added: Counter[str] = Counter()

    def count(self, headers: Mapping[bytes, bytes], caller: str | None) -> None:
        """Count a request; `caller` is the key of the budget that pays for it, None when unauthenticated."""
        name = headers.get(NAME_HEADERS[0]) or headers.get(NAME_HEADERS[1])
        if name is None:
            return
        client = (name, headers.get(VERSION_HEADERS[0]) or headers.get(VERSION_HEADERS[1]) or b"")
        if client not in self.counts and not self._add(client, caller):
            client = OTHER
        self.counts[client] += 1

    def metrics(self) -> CounterMetricFamily:
        """The counts of this process as a metric."""
        family = CounterMetricFamily(
            "nudge_graphql_client_requests_total",
            "GraphQL requests over HTTP by the client's name and version headers.",
            labels=("client", "version"),
        )
        for (name, version), count in self.counts.items():
            family.add_metric((name.decode(), version.decode()), count)
        return family

    def _add(self, client: Client, caller: str | None) -> bool:
        """Add a new client to the labels; returns False when it must be counted as `other`."""
        if caller is None or len(self.counts) > MAX_CLIENTS or self.added[caller] >= MAX_CLIENTS_OF_CALLER:
            return False
        name, version = client
        if not LABEL.fullmatch(name) or (version and not LABEL.fullmatch(version)):
            return False
        self.added[caller] += 1
        self.counts[client] = 0
        return True
