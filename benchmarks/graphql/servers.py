"""The compared servers: each is one process on the same core, with the same database and policies."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from benchmarks import node
from benchmarks.environment import Api, BenchmarkEnvironment, execute
from benchmarks.graphql.cases import LIST, OURS, PAGES, POSTGRAPHILE, SMALL, Dialect, difference, normalized, plain_id
from benchmarks.load import Target, http_request
from benchmarks.processes import serving
from local.folder import free_port

API = "NudgeCampaign"
MERCURIUS = "mercurius + graphql-jit"
SINGLE = "mercurius + graphql-jit, one round trip"
POSTGRAPHILE_5 = "PostGraphile 5"
STRAWBERRY = "Strawberry + SQLAlchemy ORM, as usually written"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredServer:
    """A running server, and how to query it."""

    name: str
    pid: int
    port: int
    headers: dict[str, str]
    dialect: Dialect = field(default=OURS)

    def execute(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The data of an operation."""
        return execute(self.port, query, variables, self.headers)

    def operation(self, case: str, campaign_id: str) -> tuple[str, dict[str, Any]]:
        """The document and the variables of a case in this server's dialect."""
        if case == SMALL:
            return self.dialect.small, {"id": plain_id(campaign_id) if self.dialect is POSTGRAPHILE else campaign_id}
        return (self.dialect.list, {}) if case == LIST else (self.dialect.thousand, self.cursors())

    def cursors(self) -> dict[str, str]:
        """The end cursors of the first nine pages of 100."""
        cursors_by_variable: dict[str, str] = {}
        after = None
        for number in range(1, PAGES):
            after = self.execute(self.dialect.end_cursor, {"after": after})["contacts"]["pageInfo"]["endCursor"]
            cursors_by_variable[f"after{number}"] = after
        return cursors_by_variable


def targets(servers: list[MeasuredServer], case: str, campaign_id: str) -> list[Target]:
    """The load of a case for each server; checks that all servers return the same data."""
    created, expected = [], None
    for each in servers:
        query, variables = each.operation(case, campaign_id)
        data = normalized(case, each.execute(query, variables))
        expected = expected if expected is not None else data
        assert data == expected, f"{each.name} returns other data for {case}: {difference(data, expected)}"
        body = orjson.dumps({"query": query, "variables": variables})
        request = http_request("/graphql", {"content-type": "application/json", **each.headers}, body)
        created.append(Target(name=each.name, port=each.port, pid=each.pid, request=request))
    return created


@contextmanager
def all_servers(env: BenchmarkEnvironment, ours: Api) -> Iterator[list[MeasuredServer]]:
    """Start all servers, of which only one works at a time; without Node, only those in Python."""
    trusted = {"x-organization": str(ours.organization_id)}
    with ExitStack() as stack:

        def start(name: str, argv: list[Any], settings: dict[str, str], dialect: Dialect = OURS) -> MeasuredServer:
            port = free_port()
            environment = {"PORT": str(port), "DATABASE_URL": env.driver_url, "NODE_ENV": "production", **settings}
            pid = stack.enter_context(serving(name, argv, environment, port, log=env.log_path(name)))
            return MeasuredServer(name=name, pid=pid, port=port, headers=trusted, dialect=dialect)

        bearer = {"authorization": f"Bearer {ours.token}"}
        servers = [MeasuredServer(name=API, pid=ours.pid, port=ours.port, headers=bearer)]
        if node.install():
            servers.append(start(MERCURIUS, node.command("mercurius.mjs"), {"FORM": "plain"}))
            servers.append(start(SINGLE, node.command("mercurius.mjs"), {"FORM": "single"}))
            servers.append(start(POSTGRAPHILE_5, node.command("postgraphile.mjs"), {}, POSTGRAPHILE))
        servers.append(start(STRAWBERRY, [sys.executable, "-m", "benchmarks.graphql.strawberry_orm"], {}))
        yield servers
