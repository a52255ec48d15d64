"""Stored values are found by all kinds of lookups, in any case and Unicode form."""

import unicodedata
from collections.abc import Callable
from itertools import pairwise
from typing import Unpack

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from core.access.actor import Actor
from core.errors import InputErrors
from core.listing.filters import parse_filter
from core.listing.pages import PageRequest
from models.suppressions import Suppression, SuppressionReason
from runtime import Runtime
from services.campaigns import drafting
from services.campaigns.listing import CAMPAIGNS
from services.contacts import changing, listing, tagging, upserting
from services.contacts.fields import UncheckedFields
from services.contacts.listing import CONTACTS, ContactRow
from services.maya import tools
from tests import factories
from tests.client import ApiClient
from tests.properties import examples


async def create(runtime: Runtime, actor: Actor, **fields: Unpack[UncheckedFields]) -> ContactRow:
    """Create a contact."""
    values: UncheckedFields = {"email": f"c{next(factories.numbers)}@example.com", **fields}
    async with runtime.work.begin(actor) as uow:
        return await changing.create(uow, values)


async def count_matches(runtime: Runtime, actor: Actor, search: str) -> int:
    """How many contacts a search finds."""
    return await CONTACTS.count(runtime.reads(actor.tenant), listing.search_condition(search))


NAMES = [
    ("İbrahim", ["İbrahim", "ibrahim", "IBRAHIM", "İBRAHİM", "I\u0307brahim", "i\u0307brahim", "brahim"]),
    ("Işık", ["Işık", "ışık", "IŞIK", "işik"]),
    ("Straße", ["Straße", "STRASSE", "strasse", "STRAẞE", "straße"]),
    ("STRASSE", ["Straße", "strasse"]),
    ("Σίσυφος", ["Σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ", "ΣΊΣΥ"]),
    ("ΣΊΣΥΦΟΣ", ["Σίσυφος", "σίσυφος"]),
    ("ǅemal", ["ǅemal", "ǆemal", "Ǆemal", "džemal", "Džemal"]),
    ("Müller", ["Müller", "MÜLLER", "Mu\u0308ller", "MU\u0308LLER"]),
    ("Mu\u0308ller", ["Müller"]),
    ("Ａｄａ", ["ada", "ＡＤＡ"]),
    ("ﬁona", ["fiona", "FIONA", "ﬁona"]),
    ("Ἀχιλλεύς", ["ἀχιλλεύς", "ἈΧΙΛΛΕΎΣ"]),
    ("ᾳδης", ["ᾳδης", "ΑΙΔΗΣ"]),
    ("τῷ ᾧ", ["τῷ ᾧ", "ΤΩ͂Ι ὯΙ", "Τῼ͂ ᾯ", "Ω\u0342\u0345", "Ω\u0345\u0342"]),
    ("ı\u0301şık", ["íşık", "I\u0301ŞIK", "ÍŞIK"]),
    ("Աւետիս և", ["ԱՒԵՏԻՍ", "ԵՒ"]),
    ("Ольга", ["ОЛЬГА", "ольга"]),
    ("Ꮳꭶ", ["ꮳꭶ", "Ꮳꭶ"]),
    ("한국", [unicodedata.normalize("NFD", "한국"), "한국"]),
    ("50%_off\\", ["%", "_", "\\", "50%_OFF\\", "５０％"]),
    ("می\u200cخواهم", ["می\u200cخواهم"]),
    ("葛\U000e0100城", ["葛\U000e0100", "城"]),
    ("\u202aAda\u202c", ["\u202aAda\u202c", "\u200eada", "Ada\u200b"]),
]


@pytest.mark.parametrize(("name", "searches"), NAMES, ids=[ascii(name) for name, _ in NAMES])
async def test_names_are_found_in_every_case_and_form(runtime: Runtime, name: str, searches: list[str]) -> None:
    """A contact is found by its first or last name, whole or in part, however it is typed; no other is."""
    actor = await factories.organization(runtime)
    await create(runtime, actor, first_name=name)
    await create(runtime, actor, last_name=name)
    await create(runtime, actor, first_name="Other", last_name="Person")
    for search in (name, *searches):
        assert await count_matches(runtime, actor, search) == 2, ascii(search)
    assert await count_matches(runtime, actor, f"{name} {searches[0]} Other") == 0


async def test_a_search_uses_five_different_words(runtime: Runtime) -> None:
    """A repeated word does not count again; words after the fifth are ignored."""
    actor = await factories.organization(runtime)
    await create(runtime, actor, first_name="Ada", last_name="Lovelace")
    assert await count_matches(runtime, actor, "ada ada ada ada ada nobody") == 0
    assert await count_matches(runtime, actor, "ada love ace lace nobody") == 0
    assert await count_matches(runtime, actor, "ada love ace lace lovelace nobody") == 1


CASED = st.characters(categories=["Lu", "Ll", "Lt", "Mn"], max_codepoint=0x2FFF)


def is_named(text: str) -> bool:
    """Whether upper case keeps the meaning: an iota subscript becomes a letter, to which later marks would belong."""
    pairs = pairwise(unicodedata.normalize("NFD", char) for char in text)
    marked = any("\u0345" in one and unicodedata.category(other[0]) == "Mn" for one, other in pairs)
    return not marked and unicodedata.category(text[0]) != "Mn"


NAMED = st.text(CASED, min_size=1, max_size=8).filter(is_named)
WAYS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    str.lower,
    str.title,
    str.swapcase,
    str.casefold,
    *(lambda text, form=form: unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")),
)


@examples(25)
@given(name=NAMED)
async def test_every_name_is_found_in_python_s_cases_and_forms(
    runtime: Runtime, one_actor: Actor, *, name: str
) -> None:
    """Upper, lower, title and folded case and each normal form, as Python makes them, find the stored name."""
    row = await create(runtime, one_actor, first_name=name)
    reads = runtime.reads(one_actor.tenant)
    for way in WAYS:
        condition = listing.search_condition(f"{way(name)} {row.email}")
        page = await CONTACTS.page(reads, PageRequest(size=100), condition=condition)
        assert [each.id for each in page.rows] == [row.id], (ascii(name), ascii(way(name)))


@pytest.fixture(scope="module")
async def one_actor(runtime: Runtime) -> Actor:
    return await factories.organization(runtime)


@pytest.mark.parametrize(("name", "searches"), NAMES[:16], ids=[ascii(name) for name, _ in NAMES[:16]])
async def test_campaigns_are_found_in_the_same_way(runtime: Runtime, name: str, searches: list[str]) -> None:
    """A part of a campaign's name finds it, as for contacts' names."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        await drafting.create(uow, {"name": name})
        await drafting.create(uow, {"name": "Other"})
    reads = runtime.reads(actor.tenant)
    for search in (name, *searches):
        condition = parse_filter({"name": {"contains": search}}, CAMPAIGNS.fields)
        assert await CAMPAIGNS.count(reads, condition) == 1, ascii(search)


TAGS = [
    ("❤\ufe0f fans", ["❤\ufe0f fans", " ❤\ufe0f  fans "]),
    ("👨\u200d👩\u200d👧 family", ["👨\u200d👩\u200d👧 family"]),
    (
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f clan",
        ["🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f clan"],
    ),
    ("می\u200cخواهم", ["می\u200cخواهم"]),
    ("ශ්\u200dරී", ["ශ්\u200dරී"]),
    ("Ångström", ["Ångström", unicodedata.normalize("NFD", "Ångström"), "\u212bngström"]),
    ("vip", ["vip", " vip\u200b", "\u202avip\u202c", "\u2068vip\u2069", "v\u200dip", "vip\n", "\ufeffvip"]),
    (" gold \u00a0 club ", ["gold club", "gold\u00a0club", "gold\tclub".replace("\t", " \u3000")]),
]


@pytest.mark.parametrize(("tag", "spellings"), TAGS, ids=[ascii(tag) for tag, _ in TAGS])
async def test_tags_are_normalized_in_lookups(
    runtime: Runtime, api: ApiClient, tag: str, spellings: list[str]
) -> None:
    """Filter, Maya's tool and removal match a tag in its original spelling and in every equivalent spelling."""
    actor = await factories.organization(runtime)
    row = await create(runtime, actor, tags=[tag])
    await create(runtime, actor, tags=["another"])
    reads = runtime.reads(actor.tenant)
    client = api.as_(factories.token(runtime, actor))
    for each in (tag, *spellings):
        arguments = orjson.dumps({"status": None, "tag": each}).decode()
        succeeded, answer = await tools.call(reads, actor, "count_contacts", arguments)
        assert succeeded
        assert orjson.loads(answer)["data"] == {"total": 1}, ascii(each)
        for name in ("hasAny", "hasAll"):
            document = f"query($tags: [String!]) {{ contacts(filter: {{tags: {{{name}: $tags}}}}) {{ totalCount }} }}"
            assert await client.execute(document, {"tags": [each]}) == {"contacts": {"totalCount": 1}}
    async with runtime.work.begin(actor) as uow:
        await tagging.remove(uow, [row.id], [spellings[-1]])
    assert (await listing.tags_of(reads, [row.id]))[row.id] == []


ADDRESSES = [
    (
        "Ada@Example.com",
        [
            "ada@example.com",
            "ADA@EXAMPLE.COM",
            " ada@example.com\n",
            "\u200bada@example.com",
            "ada\u200b@example.com",
            "ada@example.com\ufeff",
            "\u202aada@example.com\u202c",
            "\u2068ada@example.com\u2069",
            "a\u00adda@example.com",
            "ada@example.com\u200e",
        ],
    ),
    (
        "ada@münchen.example",
        ["ada@münchen.example", "ada@MÜNCHEN.example", "ada@xn--mnchen-3ya.example", "ADA@mu\u0308nchen.example"],
    ),
    ("ada@straße.example", ["ada@straße.example", "ada@xn--strae-oqa.example"]),
]


@pytest.mark.parametrize(("email", "spellings"), ADDRESSES, ids=[ascii(email) for email, _ in ADDRESSES])
async def test_addresses_are_normalized_in_lookups(runtime: Runtime, email: str, spellings: list[str]) -> None:
    """Lookup, filters, search, upsert and suppressions find an address however it is pasted."""
    actor = await factories.organization(runtime)
    row = await create(runtime, actor, email=email)
    await create(runtime, actor)
    reads = runtime.reads(actor.tenant)
    for each in (email, *spellings):
        by_email = await listing.by_email(reads, each)
        assert by_email is not None, ascii(each)
        assert by_email.id == row.id
        bare = each.strip()
        for operand in ({"eq": each}, {"startsWith": bare}, {"contains": bare}):
            condition = parse_filter({"email": operand}, CONTACTS.fields)
            assert await CONTACTS.count(reads, condition) == 1, (ascii(each), operand)
        assert await count_matches(runtime, actor, each) == 1, ascii(each)
        async with runtime.work.begin(actor) as uow:
            [result] = await upserting.upsert(uow, [{"email": each, "first_name": "Ada"}])
        assert result.contact is not None
        assert result.contact.id == row.id
    domain = parse_filter({"email": {"contains": email.rpartition("@")[2]}}, CONTACTS.fields)
    assert await CONTACTS.count(reads, domain) == (2 if email.lower().endswith("@example.com") else 1)


async def test_a_joiner_that_a_domain_needs_is_not_removed(runtime: Runtime) -> None:
    """Without it the address would be at another domain; our library accepts no such domain, so it is refused."""
    actor = await factories.organization(runtime)
    for text in ("ada@نامه\u200cای.example", "ada@ශ්\u200dරී.example"):
        with pytest.raises(InputErrors):
            await create(runtime, actor, email=text)


async def test_a_suppressed_address_stays_suppressed_however_it_is_written(runtime: Runtime) -> None:
    """Suppressions are looked up by the normalized address."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        values = {"organization_id": actor.organization_id, "email_norm": "ada@xn--mnchen-3ya.example"}
        await uow.execute(insert(Suppression).values(**values, reason=SuppressionReason.COMPLAINT))
    row = await create(runtime, actor, email="\u200bADA@MÜNCHEN.example")
    assert row.status == "complained"


async def test_a_page_can_follow_any_name(runtime: Runtime) -> None:
    """A cursor can contain anything that a last name can."""
    actor = await factories.organization(runtime)
    names = [
        "A\u2067b\u2069c",
        "שלום (ABC\u200f)",
        "❤\ufe0f",
        "می\u200cخواهم",
        "葛\U000e0100",
        "Zuse",
        "İ",
        "\U0001fae9",
    ]
    for name in names:
        await create(runtime, actor, last_name=name)
    reads = runtime.reads(actor.tenant)
    last_names: list[str | None] = []
    after = None
    for _ in names:
        page = await CONTACTS.page(reads, PageRequest(size=1, after=after), CONTACTS.orders["last_name"])
        last_names += [row.last_name for row in page.rows]
        after = page.cursors[-1]
    assert sorted(map(str, last_names)) == sorted(names)
