"""The three operations in the form for each server's schema, and a comparison of the responses."""

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
    """The parts of the operations in which the schemas differ."""

    contacts: str = "contacts"
    order: str = ""
    connection: str = CONNECTION
    cursor_type: str = "String"
    small: str = "query ($id: ID!) { campaign(id: $id) { id name status stats { audience opened clicked } } }"

    def page(self, name: str, first: int, after: str = "", selection: str | None = None) -> str:
        """The field of a page of contacts, with an alias."""
        field = f"{name}: {self.contacts}" if name != self.contacts else name
        arguments = " ".join(part for part in (f"first: {first}", after, self.order) if part)
        return f"{field}({arguments}) {{ {selection or self.connection} }}"

    @property
    def list(self) -> str:
        """A page of 50: seven fields, cursors and pageInfo."""
        return f"{{ {self.page('contacts', SIZE)} }}"

    @property
    def end_cursor(self) -> str:
        """A page of 100 after a cursor, with only its end cursor."""
        after = self.page("contacts", PAGE, "after: $after", "pageInfo { endCursor }")
        return f"query ($after: {self.cursor_type}) {{ {after} }}"

    @property
    def thousand(self) -> str:
        """Ten consecutive pages of 100 in one document, because our API returns at most 100 rows of a list."""
        variables = " ".join(f"$after{n}: {self.cursor_type}!" for n in range(1, PAGES))
        pages = [self.page("page0", PAGE, selection="...Page")]
        pages += [self.page(f"page{n}", PAGE, f"after: $after{n}", "...Page") for n in range(1, PAGES)]
        fragment = f"fragment Page on ContactConnection {{ {self.connection} }}"
        return f"query ({variables}) {{ {' '.join(pages)} }} {fragment}"


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
    """A server's data in a common form: ids as UUIDs, times in milliseconds, no cursors."""
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
    # Relay allows false for hasPreviousPage when paging forward, and PostGraphile returns it.
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


def plain_id(value: str) -> str:
    """The UUID in a global id; a plain UUID is returned unchanged."""
    decoded = decode_global_id(value)
    return str(decoded[1]) if decoded else value


def milliseconds(value: str | None) -> int | None:
    """A time in whole milliseconds, the precision of JavaScript."""
    return None if value is None else int(datetime.fromisoformat(value).timestamp() * 1000)


def difference(one: object, other: object, path: str = "") -> str:
    """A description of the first difference between two values; empty if there is none."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs = [(f"{path}.{key}", one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{path}[{index}]", *both) for index, both in enumerate(zip(one, other, strict=True))]
    else:
        return f"{path} is {str(one)[:300]}, not {str(other)[:300]}"
    return next((difference(a, b, location) for location, a, b in pairs if a != b), "")
