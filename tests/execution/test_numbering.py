"""Numbers instead of new values make texts equal that differ in nothing else, and no others."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import pytest

from core.ids import encode_global_id, new_id
from core.security import new_secret
from services.contacts.listing import CONTACTS
from tests.execution.numbering import Numbering


class Row(NamedTuple):
    """The columns by which a list is sorted."""

    created_at: datetime
    id: UUID


OLD, ONE, OTHER = (str(new_id()) for _ in range(3))
UUID_ONE = UUID(ONE)
FIRST, SECOND = "2026-11-24T09:30:00.250001+00:00", "2026-11-24T09:30:00.250002+00:00"


def number_texts(*texts: str) -> list[str]:
    """The texts of one example, after one that contained an old id and an old time."""
    numbers = Numbering(f'"{OLD}", "2026-01-01T00:00:00Z"')
    return [numbers.numbered(text) for text in texts]


@pytest.mark.parametrize(
    ("one", "other"),
    [(ONE, OTHER), (FIRST, SECOND), (new_secret(), new_secret())],
    ids=["id", "time", "secret"],  # each worker draws other values, and tests have the same names in all
)
def test_new_values_become_equal(one: str, other: str) -> None:
    """Examples that differ in a new value alone become equal; those that differ in where it recurs don't."""
    assert number_texts(f'["{one}", "{one}"]') == number_texts(f'["{other}", "{other}"]')
    assert number_texts(f'["{one}", "{other}", "{one}"]') != number_texts(f'["{one}", "{other}", "{other}"]')


def test_known_values_stay() -> None:
    """A known value is not a new one, in any of its forms."""
    assert number_texts(f'"{OLD}"', f'"{ONE}"') == [f'"{OLD}"', '"id 1"']
    assert number_texts('"2026-01-01T01:00:00+01:00"') == ['"2026-01-01T01:00:00+01:00"']
    global_id = encode_global_id("Contact", new_id())
    assert Numbering(f'"{global_id}"').numbered(f'"{global_id}"') == f'"{global_id}"'


def test_a_value_has_one_number_in_all_its_forms() -> None:
    """A global id has the number of the id in it, per type; a time that of its moment, per format."""
    own, row = number_texts(
        f'"{encode_global_id("List", new_id())}" "{encode_global_id("List", UUID_ONE)}"', f'"{ONE}"'
    )
    assert (own, row) == ('"packed(List:id 1)" "packed(List:id 2)"', '"id 2"')
    assert number_texts('"2026-11-24T09:30:00.25+00:00"', '"2026-11-24T09:30:00.250000Z"') == [
        '"time 1 0000-00-00T00:00:00+00:00"',
        '"time 1 0000-00-00T00:00:00Z"',
    ]


def test_a_cursor_counts_as_the_time_and_the_id_in_it() -> None:
    """The value of a new row differs each time, which is a difference only if its row has another position."""
    rows = [Row(datetime.fromisoformat(time), id_) for time in (FIRST, SECOND) for id_ in (UUID_ONE, UUID(OTHER))]
    texts = [
        f'"{cursor}" "{row.created_at.isoformat()}" "{row.id}"'
        for cursor, row in zip(CONTACTS.order.cursors(rows), rows, strict=True)
    ]
    assert len({number_texts(text)[0] for text in texts}) == 1
    mixed = texts[0].split()[0], *texts[1].split()[1:]
    assert number_texts(" ".join(mixed)) != number_texts(texts[0])


def test_speeds_are_equal() -> None:
    """Two speeds become equal; none, another field and another alias stay different."""
    one, other, none, field, alias = number_texts(
        *('{"ratePerSecond_1":7.83}', '{"ratePerSecond_1":5.75}', '{"ratePerSecond_1":null}'),
        *('{"estimatedSecondsLeft":7}', '{"ratePerSecond_2":7.83}'),
    )
    assert one == other
    assert len({one, none, field, alias}) == 4
