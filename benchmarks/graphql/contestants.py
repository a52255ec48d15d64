"""The servers that are compared, each one process on the same core, over the same database and policies."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from benchmarks import node
from benchmarks.graphql.cases import LIST, OURS, PAGES, POSTGRAPHILE, SMALL, Dialect, difference, normalized, plain_id
from benchmarks.load import Target, http_request
from benchmarks.processes import serving
from benchmarks.stage import Api, Stage, execute
from local.folder import free_port

API = "NudgeCampaign"
MERCURIUS = "mercurius + graphql-jit"
SINGLE = "mercurius + graphql-jit, one round trip"
POSTGRAPHILE_5 = "PostGraphile 5"
USUAL = "Strawberry + SQLAlchemy ORM, as usually written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A server that runs, and how to ask it."""

    name: str
    pid: int
    port: int
    headers: dict[str, str]
    dialect: Dialect = field(default=OURS)

    def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The data of an operation."""
        return execute(self.port, query, variables, self.headers)

    def operation(self, case: str, campaign_id: str) -> tuple[str, dict[str, Any]]:
        """Document and variables of a case in this server's words."""
        if case == SMALL:
            return self.dialect.small, {"id": plain_id(campaign_id) if self.dialect is POSTGRAPHILE else campaign_id}
        return (self.dialect.list, {}) if case == LIST else (self.dialect.thousand, self.cursors())

    def cursors(self) -> dict[str, str]:
        """The ends of the first nine pages of 100, by walking along them."""
        found: dict[str, str] = {}
        after = None
        for number in range(1, PAGES):
            after = self.ask(self.dialect.walk, {"after": after})["contacts"]["pageInfo"]["endCursor"]
            found[f"after{number}"] = after
        return found


def targets(contestants: list[Contestant], case: str, campaign_id: str) -> list[Target]:
    """The load of a case for each server, after making sure that all of them answer the same."""
    made, expected = [], None
    for each in contestants:
        query, variables = each.operation(case, campaign_id)
        said = normalized(case, each.ask(query, variables))
        expected = expected if expected is not None else said
        assert said == expected, f"{each.name} answers differently on {case}: {difference(said, expected)}"
        body = orjson.dumps({"query": query, "variables": variables})
        request = http_request("/graphql", {"content-type": "application/json", **each.headers}, body)
        made.append(Target(name=each.name, port=each.port, pid=each.pid, request=request))
    return made


@contextmanager
def everybody(on: Stage, ours: Api) -> Iterator[list[Contestant]]:
    """All servers at once; only one works at a time. Without Node, only those in Python."""
    trusted = {"x-organization": str(ours.organization_id)}
    with ExitStack() as stack:

        def start(name: str, argv: list[Any], settings: dict[str, str], dialect: Dialect = OURS) -> Contestant:
            port = free_port()
            environment = {"PORT": str(port), "DATABASE_URL": on.plain_url, "NODE_ENV": "production", **settings}
            pid = stack.enter_context(serving(name, argv, environment, port, log=on.log_of(name)))
            return Contestant(name=name, pid=pid, port=port, headers=trusted, dialect=dialect)

        bearer = {"authorization": f"Bearer {ours.token}"}
        found = [Contestant(name=API, pid=ours.pid, port=ours.port, headers=bearer)]
        if node.installed():
            found.append(start(MERCURIUS, node.command("mercurius.mjs"), {"FORM": "plain"}))
            found.append(start(SINGLE, node.command("mercurius.mjs"), {"FORM": "single"}))
            found.append(start(POSTGRAPHILE_5, node.command("postgraphile.mjs"), {}, POSTGRAPHILE))
        found.append(start(USUAL, [sys.executable, "-m", "benchmarks.graphql.usual"], {}))
        yield found
