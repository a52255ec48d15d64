from typing import Any

import pytest

from core.access.actor import Actor
from core.access.permissions import Role
from core.ids import encode_global_id, new_id
from runtime import Runtime
from tests import factories
from tests.client import ApiClient
from tests.statements import statements

FIELDS = "id email firstName lastName status customFields timeZone tags createdAt subscribedAt unsubscribedAt"
CREATE = f"""mutation ($input: CreateContactInput!) {{
  createContact(input: $input) {{
    contact {{ {FIELDS} lists {{ name contactCount }} }} userErrors {{ code field message }}
  }}
}}"""
UPDATE = f"""mutation ($input: UpdateContactInput!) {{
  updateContact(input: $input) {{ contact {{ {FIELDS} }} userErrors {{ code field message suggestion }} }}
}}"""
UPSERT = """mutation ($input: UpsertContactsInput!) {
  upsertContacts(input: $input) {
    results { index status contact { id email tags } userErrors { code field } }
    created updated unchanged invalid userErrors { code field message suggestion }
  }
}"""
LIST = """query ($first: Int, $last: Int, $after: String, $before: String, $filter: ContactFilter, $sort: ContactSort,
  $search: String) {
  contacts(first: $first, last: $last, after: $after, before: $before, filter: $filter, sort: $sort,
    search: $search) {
    edges { cursor node { id email } } nodes { email }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


async def caller(runtime: Runtime, api: ApiClient, role: Role = Role.OWNER) -> tuple[ApiClient, Actor]:
    actor = await factories.organization(runtime, role=role)
    return api.as_(factories.token(runtime, actor)), actor


async def create_contact(client: ApiClient, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - an input of any shape
    answer = (await client.execute(CREATE, {"input": values}))["createContact"]
    assert answer["userErrors"] == []
    contact: dict[str, Any] = answer["contact"]
    return contact


async def user_errors(client: ApiClient, mutation: str, values: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The codes and fields of a mutation's user errors."""
    [payload] = (await client.execute(mutation, {"input": values})).values()
    return [(error["code"], error["field"]) for error in payload["userErrors"]]


async def test_a_contact_from_creation_to_deletion(runtime: Runtime, api: ApiClient) -> None:
    """Created on a list, read by id, address and node, changed, unsubscribed, deleted, unknown."""
    client, _ = await caller(runtime, api)
    made_list = (
        await client.execute('mutation { createList(input: {name: "News"}) { list { id } userErrors { code } } }')
    )["createList"]["list"]
    contact = await create_contact(
        client,
        email="Ada@Example.com",
        firstName="Ada",
        customFields={"plan": "pro", "scores": [1, 2.5, None, True]},
        tags=["vip", "a"],
        listIds=[made_list["id"]],
        timeZone="Europe/London",
    )
    assert contact["lists"] == [{"name": "News", "contactCount": 1}]
    assert (contact["tags"], contact["status"], contact["timeZone"]) == (["a", "vip"], "SUBSCRIBED", "Europe/London")
    data = await client.execute(
        """query ($id: ID!) {
          contact(id: $id) { id customFields } contactByEmail(email: "ADA@example.com") { id }
          node(id: $id) { __typename id ... on Contact { email } } tags { name contactCount }
        }""",
        {"id": contact["id"]},
    )
    assert data["contact"] == {"id": contact["id"], "customFields": {"plan": "pro", "scores": [1, 2.5, None, True]}}
    assert data["contactByEmail"] == {"id": contact["id"]}
    assert data["node"] == {"__typename": "Contact", "id": contact["id"], "email": "Ada@example.com"}
    assert data["tags"] == [{"name": "a", "contactCount": 1}, {"name": "vip", "contactCount": 1}]
    updated = (
        await client.execute(UPDATE, {"input": {"contactId": contact["id"], "firstName": None, "tags": ["b"]}})
    )["updateContact"]["contact"]
    assert updated == {
        **{key: value for key, value in contact.items() if key != "lists"},
        "firstName": None,
        "tags": ["b"],
    }
    unsubscribed = await client.execute(
        """mutation ($input: UnsubscribeContactInput!) {
          unsubscribeContact(input: $input) {
            contact { status unsubscribedAt events(first: 1) { nodes { kind } pageInfo { hasNextPage } } }
          }
        }""",
        {"input": {"contactId": contact["id"]}},
    )
    after = unsubscribed["unsubscribeContact"]["contact"]
    assert (after["status"], after["events"]) == (
        "UNSUBSCRIBED",
        {"nodes": [{"kind": "UNSUBSCRIBED"}], "pageInfo": {"hasNextPage": True}},
    )
    delete = """mutation ($input: DeleteContactInput!) {
      deleteContact(input: $input) { deletedContactId contact { email } userErrors { code field } }
    }"""
    deleted = (await client.execute(delete, {"input": {"contactId": contact["id"]}}))["deleteContact"]
    assert deleted == {
        "deletedContactId": contact["id"],
        "contact": {"email": "Ada@example.com"},
        "userErrors": [],
    }
    assert await user_errors(client, delete, {"contactId": contact["id"]}) == [("NOT_FOUND", ["input", "contactId"])]


async def test_invalid_input_is_refused_at_its_field(runtime: Runtime, api: ApiClient) -> None:
    """Each invalid field of a request has its own user error, over HTTP as well."""
    client, _ = await caller(runtime, api)
    assert await user_errors(
        client,
        CREATE,
        {
            "email": "x" * 300 + "@example.com",
            "firstName": "a\u0000b",
            "lastName": "\u202e",
            "customFields": {"a b": 1},
            "tags": ["ok", ""],
            "timeZone": "Mars/Olympus",
            "status": "BOUNCED",
        },
    ) == [
        ("INVALID_EMAIL", ["input", "email"]),
        ("INVALID", ["input", "firstName"]),
        ("INVALID", ["input", "lastName"]),
        ("INVALID", ["input", "timeZone"]),
        ("INVALID", ["input", "customFields"]),
        ("INVALID", ["input", "tags", "1"]),
        ("INVALID", ["input", "status"]),
    ]
    contact = await create_contact(client, email="ada@example.com")
    assert await user_errors(client, CREATE, {"email": "ADA@example.com"}) == [("TAKEN", ["input", "email"])]
    assert await user_errors(client, UPDATE, {"contactId": contact["id"], "email": None}) == [
        ("REQUIRED", ["input", "email"])
    ]


@pytest.mark.parametrize("text", [r"\ud800", r"\u0000", r"a\udfffb"])
async def test_text_that_is_not_utf8_is_a_clear_error(runtime: Runtime, api: ApiClient, text: str) -> None:
    """A lone surrogate or a NUL, anywhere in a request, is never an internal error."""
    client, _ = await caller(runtime, api)
    queries = {
        "$s: String": "contacts(search: $s) { nodes { id } }",
        "$s: String ": "contacts(after: $s) { nodes { id } }",
        "$s: EmailAddress!": "contactByEmail(email: $s) { id }",
        "$s: ID!": "contact(id: $s) { id } list(id: $s) { id }",
        "$s: [String!]": "contacts(filter: {tags: {hasAny: $s}}) { nodes { id } }",
        "$s: String  ": "contacts(filter: {email: {contains: $s}}) { nodes { id } }",
    }
    bodies = [f'{{"query": "query ({s}) {{ {q} }}", "variables": {{"s": "TEXT"}}}}' for s, q in queries.items()]
    create = "mutation ($s: String!) { createList(input: {name: $s}) { userErrors { code } } }"
    bodies.append(f'{{"query": "{create}", "variables": {{"s": "TEXT"}}}}')
    for body in bodies:
        reply = await client.post(body.replace("TEXT", text).encode())
        assert "INTERNAL" not in reply.codes, reply.body
        assert reply.status < 500


async def test_an_upsert_has_a_result_for_each_row(runtime: Runtime, api: ApiClient) -> None:
    """SKIP_INVALID applies the valid rows and has errors for the others; REJECT_ALL, the default, applies none."""
    client, _ = await caller(runtime, api)
    rows = [
        {"email": "a@example.com", "firstName": "A", "tags": ["x"]},
        {"email": "not an address"},
        {"email": "A@example.com", "firstName": "B"},
    ]
    rejected = (await client.execute(UPSERT, {"input": {"contacts": rows}}))["upsertContacts"]
    assert [(error["code"], error["field"]) for error in rejected["userErrors"]] == [
        ("INVALID_EMAIL", ["input", "contacts", "1", "email"])
    ]
    assert (rejected["results"], rejected["created"]) == ([], 0)
    result = (await client.execute(UPSERT, {"input": {"contacts": rows, "onInvalid": "SKIP_INVALID"}}))[
        "upsertContacts"
    ]
    assert [row["status"] for row in result["results"]] == ["CREATED", "INVALID", "UPDATED"]
    assert [row["index"] for row in result["results"]] == [0, 1, 2]
    assert result["results"][0]["contact"] == result["results"][2]["contact"]
    assert result["results"][0]["contact"]["tags"] == ["x"]
    assert result["results"][1]["contact"] is None
    assert {key: result[key] for key in ("created", "updated", "unchanged", "invalid", "userErrors")} == {
        "created": 1,
        "updated": 1,
        "unchanged": 0,
        "invalid": 1,
        "userErrors": [],
    }
    too_many = [{"email": f"p{number}@example.com"} for number in range(1001)]
    assert await user_errors(client, UPSERT, {"contacts": too_many}) == [("TOO_MANY", ["input", "contacts"])]
    thousand = (await client.execute(UPSERT, {"input": {"contacts": too_many[:1000]}}))["upsertContacts"]
    assert (thousand["created"], len(thousand["results"])) == (1000, 1000)


async def test_pages_filter_sort_and_search_over_the_api(runtime: Runtime, api: ApiClient) -> None:
    """Forward by cursor, backward from the end, filtered, sorted, searched; cursors of another order are refused."""
    client, _ = await caller(runtime, api)
    rows = [{"email": f"p{n}@example.com", "lastName": f"N{n}", "tags": ["even"] * (n % 2 == 0)} for n in range(5)]
    await client.execute(UPSERT, {"input": {"contacts": rows}})

    async def emails(**arguments: Any) -> list[str]:  # noqa: ANN401 - arguments of any shape
        connection = (await client.execute(LIST, arguments))["contacts"]
        assert [edge["node"]["email"] for edge in connection["edges"]] == [
            node["email"] for node in connection["nodes"]
        ]
        return [node["email"][:2] for node in connection["nodes"]]

    by_email = {"field": "EMAIL", "direction": "ASC"}
    first = (await client.execute(LIST, {"first": 2, "sort": by_email}))["contacts"]
    assert [node["email"] for node in first["nodes"]] == ["p0@example.com", "p1@example.com"]
    assert first["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": first["edges"][0]["cursor"],
        "endCursor": first["edges"][1]["cursor"],
    }
    end = first["pageInfo"]["endCursor"]
    assert await emails(first=2, after=end, sort=by_email) == ["p2", "p3"]
    assert await emails(last=2, sort=by_email) == ["p3", "p4"]
    assert await emails(last=2, before=end, sort=by_email) == ["p0"]
    assert await emails(sort={"field": "LAST_NAME", "direction": "DESC"}) == ["p4", "p3", "p2", "p1", "p0"]
    assert sorted(await emails()) == ["p0", "p1", "p2", "p3", "p4"]
    assert await emails(filter={"tags": {"hasNone": ["even"]}}, sort=by_email) == ["p1", "p3"]
    assert await emails(filter={"status": {"in": ["BOUNCED"]}}) == []
    assert await emails(
        filter={"or": [{"email": {"eq": "p1@example.com"}}, {"not": {"email": {"startsWith": "p"}}}]}
    ) == ["p1"]
    assert await emails(search="n3 p3@") == ["p3"]
    wrong = await client.send(LIST, {"after": end, "sort": {"field": "CREATED_AT"}})
    assert wrong.codes == ["BAD_USER_INPUT"]
    for arguments in ({"first": 0}, {"first": 101}, {"first": 1, "last": 1}, {"after": "nonsense"}):
        assert (await client.send(LIST, arguments)).codes == ["BAD_USER_INPUT"], arguments
    deep: dict[str, Any] = {}
    for _ in range(6):
        deep = {"and": [deep]}
    assert (await client.send(LIST, {"filter": deep})).codes == ["BAD_USER_INPUT"]
    wide = {"or": [{"email": {"eq": "a"}}] * 60}
    assert (await client.send(LIST, {"filter": wide})).codes == ["BAD_USER_INPUT"]


async def test_lists_and_tags_change_in_bulk(runtime: Runtime, api: ApiClient) -> None:
    """addTags, removeTags, addToList and removeFromList return what changed; unknown ids change nothing."""
    client, _ = await caller(runtime, api)
    ids = [(await create_contact(client, email=f"p{number}@example.com"))["id"] for number in range(2)]
    answer = await client.execute(
        """mutation ($ids: [ID!]!) {
          createList(input: {name: "News", description: "Monthly"}) { list { id name description contactCount } }
          addTags(input: {contactIds: $ids, tags: ["a", "b"]}) { contacts { id tags } userErrors { code } }
          removeTags(input: {contactIds: $ids, tags: ["a"]}) { contacts { id tags } userErrors { code } }
        }""",
        {"ids": ids},
    )
    assert answer["addTags"]["contacts"] == [{"id": contact_id, "tags": ["a", "b"]} for contact_id in ids]
    assert answer["removeTags"]["contacts"] == [{"id": contact_id, "tags": ["b"]} for contact_id in ids]
    news = answer["createList"]["list"]
    assert (news["name"], news["description"], news["contactCount"]) == ("News", "Monthly", 0)
    bulk = """mutation ($list: ID!, $ids: [ID!]!, $unknown: [ID!]!) {
      addToList(input: {listId: $list, contactIds: $ids}) { added list { contactCount } }
      again: addToList(input: {listId: $list, contactIds: $ids}) { added list { contactCount } }
      removeFromList(input: {listId: $list, contactIds: [%s]}) { removed list { contactCount } }
      unknown: addToList(input: {listId: $list, contactIds: $unknown}) { added userErrors { code field } }
    }"""
    unknown = encode_global_id("Contact", new_id())
    payloads = await client.execute(
        bulk % f'"{ids[0]}"', {"list": news["id"], "ids": ids, "unknown": [ids[0], unknown]}
    )
    assert payloads == {
        "addToList": {"added": 2, "list": {"contactCount": 2}},
        "again": {"added": 0, "list": {"contactCount": 2}},
        "removeFromList": {"removed": 1, "list": {"contactCount": 1}},
        "unknown": {
            "added": 0,
            "userErrors": [{"code": "NOT_FOUND", "field": ["input", "contactIds", "1"]}],
        },
    }
    data = await client.execute(
        "query ($id: ID!) { list(id: $id) { name } lists(first: 1) { totalCount nodes { name contactCount } } }",
        {"id": news["id"]},
    )
    assert data == {
        "list": {"name": "News"},
        "lists": {"totalCount": 1, "nodes": [{"name": "News", "contactCount": 1}]},
    }


async def test_ids_of_another_organization_are_unknown(runtime: Runtime, api: ApiClient) -> None:
    """Queries give null, mutations NOT_FOUND, and both exactly the same as for a random id."""
    theirs, _ = await caller(runtime, api)
    contact = await create_contact(theirs, email="secret@example.com")
    client, _ = await caller(runtime, api)
    mine = await create_contact(client, email="mine@example.com")
    ask = """query ($id: ID!) { contact(id: $id) { id } node(id: $id) { id } list(id: $id) { id } }"""
    update = {"contactId": contact["id"], "firstName": "Eve"}
    for contact_id in (contact["id"], encode_global_id("Contact", new_id()), encode_global_id("User", new_id()), "x"):
        assert await client.execute(ask, {"id": contact_id}) == {"contact": None, "node": None, "list": None}
        assert await user_errors(client, UPDATE, {**update, "contactId": contact_id}) == [
            ("NOT_FOUND", ["input", "contactId"])
        ]
        tags = "mutation ($input: AddTagsInput!) { addTags(input: $input) { userErrors { code field } } }"
        assert await user_errors(client, tags, {"contactIds": [mine["id"], contact_id], "tags": ["x"]}) == [
            ("NOT_FOUND", ["input", "contactIds", "1"])
        ]
    assert (await client.execute('{ contactByEmail(email: "secret@example.com") { id } }'))["contactByEmail"] is None


async def test_a_viewer_can_read_but_not_change(runtime: Runtime, api: ApiClient) -> None:
    """Without the permission each mutation is FORBIDDEN; without a token each field is UNAUTHENTICATED."""
    client, _ = await caller(runtime, api, Role.VIEWER)
    assert (await client.execute(LIST, {}))["contacts"]["nodes"] == []
    assert (await client.send(CREATE, {"input": {"email": "a@example.com"}})).codes == ["FORBIDDEN"]
    assert (await client.send(UPSERT, {"input": {"contacts": []}})).codes == ["FORBIDDEN"]
    assert (await api.send(LIST, {})).codes == ["UNAUTHENTICATED"]


async def test_a_page_takes_one_statement_and_each_relation_another(runtime: Runtime, api: ApiClient) -> None:
    """For any number of contacts: no statement per row, and no count unless it is selected."""
    client, actor = await caller(runtime, api)
    await factories.contacts(runtime, actor, 30, tag="t")
    await client.execute(LIST, {"first": 1})  # the session is in the cache from here on
    for selection, expected in (
        ("nodes { email }", 1),
        ("nodes { email tags }", 2),
        ("totalCount nodes { email tags lists { name contactCount } }", 4),
        ("nodes { events(first: 2) { nodes { kind } } }", 2),
        ("nodes { events(first: 2) { totalCount nodes { kind } } }", 3),
    ):
        with statements(runtime) as queries:
            await client.execute(f"{{ contacts(first: 30) {{ {selection} }} }}")
        assert len(queries) == expected, (selection, queries)


async def test_events_are_counted_for_each_contact(runtime: Runtime, api: ApiClient) -> None:
    """All events are counted, with any page size; 0 for a contact without events."""
    client, _ = await caller(runtime, api)
    contact = await create_contact(client, email="a@example.com")
    await create_contact(client, email="b@example.com", status="PENDING")
    await client.execute(
        "mutation($id: ID!) { unsubscribeContact(input: {contactId: $id}) { userErrors { message } } }",
        {"id": contact["id"]},
    )
    data = await client.execute(
        "{ contacts(sort: {field: EMAIL}) { nodes { email events(first: 1) { totalCount nodes { kind } } } } }"
    )
    assert data["contacts"]["nodes"] == [
        {"email": "a@example.com", "events": {"totalCount": 2, "nodes": [{"kind": "UNSUBSCRIBED"}]}},
        {"email": "b@example.com", "events": {"totalCount": 0, "nodes": []}},
    ]


async def test_a_number_that_cannot_be_read_back_is_refused(runtime: Runtime, api: ApiClient) -> None:
    """JSON's 1e20 arrives as a float and would be stored as a whole number; the largest allowed one reads back."""
    client, _ = await caller(runtime, api)
    for number in (1e20, -1e20, [1e300]):
        values = {"email": "big@example.com", "customFields": {"a": number}}
        [(code, field)] = await user_errors(client, CREATE, values)
        assert (code, field[:3]) == ("INVALID", ["input", "customFields", "a"])
    fields = {"whole": 2**53 - 1, "float": 9e15, "small": 5e-324, "below": -0.5}
    contact = await create_contact(client, email="big@example.com", customFields=fields)
    data = await client.execute("query ($id: ID!) { contact(id: $id) { customFields } }", {"id": contact["id"]})
    assert data["contact"]["customFields"] == fields
