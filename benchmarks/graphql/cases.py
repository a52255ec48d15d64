"""The three operations, as each server's schema wants them, and what all of their answers must have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.ids import decode_global_id

SIZE = 50
PAGE = 100
PAGES = 10
LIST, SMALL, THOUSAND = "list", "small", "1,000 rows"
CONNECTION = """edges { cursor node { id email firstName lastName status createdAt subscribedAt } }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"""
POSTGRAPHILE_CONNECTION = CONNECTION.replace("id email", "id: rowId email")
POSTGRAPHILE_ORDER = "orderBy: [CREATED_AT_DESC, ROW_ID_DESC]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a schema says it: the names of the list field and its order, of types, and the small operation."""

    contacts: str = "contacts"
    order: str = ""
    connection: str = CONNECTION
    cursor_type: str = "String"
    small: str = "query ($id: ID!) { campaign(id: $id) { id name status stats { audience opened clicked } } }"

    def page(self, name: str, first: int, after: str = "", selection: str | None = None) -> str:
        """A page of contacts under a name."""
        field = f"{name}: {self.contacts}" if name != self.contacts else name
        arguments = " ".join(part for part in (f"first: {first}", after, self.order) if part)
        return f"{field}({arguments}) {{ {selection or self.connection} }}"

    @property
    def list(self) -> str:
        """A page of 50: seven fields, cursors and pageInfo."""
        return f"{{ {self.page('contacts', SIZE)} }}"

    @property
    def walk(self) -> str:
        """A page of 100 after a cursor; only where it ends."""
        after = self.page("contacts", PAGE, "after: $after", "pageInfo { endCursor }")
        return f"query ($after: {self.cursor_type}) {{ {after} }}"

    @property
    def thousand(self) -> str:
        """Ten pages of 100 that follow on each other, as a list is at most 100 long in our API."""
        given = " ".join(f"$after{n}: {self.cursor_type}!" for n in range(1, PAGES))
        pages = [self.page("page0", PAGE, selection="...Page")]
        pages += [self.page(f"page{n}", PAGE, f"after: $after{n}", "...Page") for n in range(1, PAGES)]
        fragment = f"fragment Page on ContactConnection {{ {self.connection} }}"
        return f"query ({given}) {{ {' '.join(pages)} }} {fragment}"


OURS = Dialect()
POSTGRAPHILE = Dialect(
    contacts="allContacts",
    order=POSTGRAPHILE_ORDER,
    connection=POSTGRAPHILE_CONNECTION,
    cursor_type="Cursor",
    small="""query ($id: UUID!) { campaign: campaignByRowId(rowId: $id) { id: rowId name status
      stats: campaignStatByOrganizationIdAndCampaignId { audience opened clicked } } }""",
)


def normalized(case: str, data: Mapping[str, Any]) -> object:
    """What an answer says, whichever way: ids as UUIDs, times in milliseconds, cursors only as being there."""
    if case == SMALL:
        campaign = data["campaign"]
        return {**campaign, "id": plain_id(campaign["id"]), "status": campaign["status"].upper()}
    return [page(each) for each in data.values()]


def page(connection: Mapping[str, Any]) -> object:
    """A page of contacts."""
    edges, info = connection["edges"], connection["pageInfo"]
    cursors = [edge["cursor"] for edge in edges]
    assert len(set(cursors)) == len(edges), "cursors must differ"
    assert (info["startCursor"], info["endCursor"]) == (cursors[0], cursors[-1])
    # Relay lets a server answer false to hasPreviousPage when it reads forward, and PostGraphile does.
    assert isinstance(info["hasPreviousPage"], bool)
    return {"nodes": [contact(edge["node"]) for edge in edges], "hasNextPage": info["hasNextPage"]}


def contact(node: Mapping[str, Any]) -> dict[str, object]:
    """A contact's seven fields."""
    return {
        **node,
        "id": plain_id(node["id"]),
        "status": node["status"].upper(),
        "createdAt": milliseconds(node["createdAt"]),
        "subscribedAt": milliseconds(node["subscribedAt"]),
    }


def plain_id(given: str) -> str:
    """The UUID of a global id, or of itself."""
    found = decode_global_id(given)
    return str(found[1]) if found else given


def milliseconds(given: str | None) -> int | None:
    """A time in whole milliseconds, which is what JavaScript keeps of it."""
    return None if given is None else int(datetime.fromisoformat(given).timestamp() * 1000)


def difference(one: object, other: object, path: str = "") -> str:
    """Where two answers differ first."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs = [(f"{path}.{key}", one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{path}[{at}]", *both) for at, both in enumerate(zip(one, other, strict=True))]
    else:
        return f"{path} is {str(one)[:300]}, not {str(other)[:300]}"
    return next((difference(a, b, where) for where, a, b in pairs if a != b), "")
