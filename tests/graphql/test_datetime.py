"""The scalar DateTime is RFC 3339's `date-time`, compared with a parser written from the RFC's grammar alone."""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest
from graphql import GraphQLError, GraphQLScalarType, parse_value
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import DateTime, Time

from core.clock import now
from models.base import Base
from resolvers import build_schema
from runtime import Runtime
from tests import factories
from tests.client import ApiClient

scalar = cast("GraphQLScalarType", build_schema()._schema.type_map["DateTime"])
SECOND = 1_000_000
DIGITS = "0123456789"


class GrammarParser:
    """Parses a text rule by rule, as in RFC 3339, 5.6; raises `ValueError` where it violates the grammar."""

    def __init__(self, text: str) -> None:
        self.rest = text

    def one_of(self, characters: str) -> str:
        """One of these characters."""
        if not self.rest or self.rest[0] not in characters:
            raise ValueError(self.rest)
        first, self.rest = self.rest[0], self.rest[1:]
        return first

    def number(self, width: int, least: int, most: int) -> int:
        """A number of so many digits within bounds."""
        value = int("".join(self.one_of(DIGITS) for _ in range(width)))
        if not least <= value <= most:
            raise ValueError(value)
        return value

    def fraction(self) -> str:
        """The digits of `time-secfrac`, which is optional."""
        digits = ""
        if self.rest.startswith("."):
            self.one_of(".")
            digits = self.one_of(DIGITS)
            while self.rest and self.rest[0] in DIGITS:
                digits += self.one_of(DIGITS)
        return digits

    def offset(self) -> int:
        """Minutes east of UTC."""
        sign = self.one_of("Zz+-")
        if sign in "Zz":
            return 0
        hours = self.number(2, 0, 23)
        self.one_of(":")
        return (hours * 60 + self.number(2, 0, 59)) * (1 if sign == "+" else -1)


def days_before(year: int, month: int, day: int) -> int:
    """Days from 0001-01-01 to a date of the Gregorian calendar, counted year by year."""
    full = year - 1
    months = sum(monthrange(2000 if monthrange(year, 2)[1] == 29 else 2001, each)[1] for each in range(1, month))
    return full * 365 + full // 4 - full // 100 + full // 400 + months + day - 1


def parsed_by_grammar(text: str) -> int | None:
    """Microseconds from 0001-01-01T00:00:00Z to the moment of a text; None where the text is invalid."""
    reader = GrammarParser(text)
    try:
        year = reader.number(4, 1, 9999)
        reader.one_of("-")
        month = reader.number(2, 1, 12)
        reader.one_of("-")
        day = reader.number(2, 1, monthrange(year, month)[1])
        reader.one_of("Tt")
        hour = reader.number(2, 0, 23)
        reader.one_of(":")
        minute = reader.number(2, 0, 59)
        reader.one_of(":")
        second = reader.number(2, 0, 60)
        fraction = reader.fraction()
        minutes = days_before(year, month, day) * 1440 + hour * 60 + minute - reader.offset()
    except ValueError:
        return None
    if reader.rest or len(text) > 128:
        return None
    if second == 60 and not ends_a_month(minutes):
        return None
    moment = (minutes * 60 + second) * SECOND + int((fraction + "000000")[:6])
    return moment if 0 <= moment < days_before(10_000, 1, 1) * 1440 * 60 * SECOND else None


def ends_a_month(minutes: int) -> bool:
    """Whether a minute, counted from year 1, is the last of a month."""
    days, minute = divmod(minutes, 1440)
    if minute != 1439 or not 0 <= days < days_before(9999, 12, 31):
        return False
    day = datetime(1, 1, 1, tzinfo=UTC) + timedelta(days=days)
    return day.day == monthrange(day.year, day.month)[1]


def parsed_by_scalar(text: str) -> int | None:
    """The value that the scalar parses, in the same unit; None when it refuses the text."""
    try:
        moment = scalar.parse_value(text)
    except GraphQLError:
        return None
    assert isinstance(moment, datetime)
    since = moment - datetime(1, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def pieces(*common: str, other: str = "") -> st.SearchStrategy[str]:
    """One of the common texts, or now and then one of another notation."""
    return st.sampled_from([*common * 4, *other.split("|")])


two = st.integers(0, 61).map("{:02}".format)
date_texts = st.one_of(
    st.datetimes().map(lambda moment: f"{moment.year:04}-{moment.month:02}-{moment.day:02}"),
    st.builds("{:04}-{:02}-{:02}".format, st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32)),
    pieces(
        "2016-12-31", "2024-02-29", "0001-01-01", "9999-12-31", "2026-06-30",
        other="2023-02-29|20261124|2026-W48-2|2026-328|2026-1-1|+12026-01-01|-0001-01-01|0000-01-01|2026-11|26-11-24|",
    ),
)  # fmt: skip
time_texts = st.one_of(
    st.builds("{}:{}:{}".format, st.integers(0, 24).map("{:02}".format), two, two),
    pieces("23:59:60", "00:00:00", "23:59:59", other="24:00:00|09:30|0930|093000|9:30:00|09:30:60|09|12:00:61|"),
)
fractions = st.one_of(
    st.just(""),
    st.text(DIGITS, min_size=1, max_size=40).map(".{}".format),
    pieces(".5", other=".|,5|.5.5|. 5|.٣|.5e3|." + "9" * 120),
)
offsets = st.one_of(
    st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 24), st.integers(0, 60)),
    pieces(
        "Z",
        "z",
        "+00:00",
        "-00:00",
        "+23:59",
        "-23:59",
        other="+0100|+01|+1:00|\u221201:00|Z |ZZ|UTC|[UTC]|+01:00:00|",
    ),
)
separators = pieces("T", "t", other=" |_|\t|TT||\u0422")
surroundings = pieces("", other=" |\n|\x00|\ufeff|'")
texts = st.tuples(surroundings, date_texts, separators, time_texts, fractions, offsets, surroundings).map("".join)


@given(texts)
def test_the_scalar_agrees_with_the_grammar(text: str) -> None:
    """Any text is accepted exactly where RFC 3339 accepts it, and as the same moment."""
    assert parsed_by_scalar(text) == parsed_by_grammar(text)


@given(st.datetimes(timezones=st.just(UTC)), st.text("0123456789.:+-TtZz Ww", max_size=3), st.integers(0, 26))
def test_the_scalar_agrees_with_the_grammar_about_changed_texts(moment: datetime, other: str, place: int) -> None:
    """Some characters of a valid text are replaced, which mostly makes it invalid."""
    text = moment.isoformat()
    mutated = text[:place] + other + text[place + len(other) :]
    assert parsed_by_scalar(mutated) == parsed_by_grammar(mutated)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.520000+00:00"),
        ("1996-12-19T16:39:57-08:00", "1996-12-20T00:39:57+00:00"),
        ("1990-12-31T23:59:60Z", "1991-01-01T00:00:00+00:00"),
        ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00+00:00"),
        ("1937-01-01T12:00:27.87+00:20", "1937-01-01T11:40:27.870000+00:00"),
        ("2026-11-24t09:30:00z", "2026-11-24T09:30:00+00:00"),
        ("2026-11-24T09:30:00-00:00", "2026-11-24T09:30:00+00:00"),
        ("2026-11-24T09:30:00.123456789Z", "2026-11-24T09:30:00.123456+00:00"),
        ("2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.250000+00:00"),
    ],
)
def test_examples_of_the_rfc(text: str, expected: str) -> None:
    """Those of section 5.8, and its notes on letters, unknown offsets and fractions."""
    assert scalar.serialize(scalar.parse_value(text)) == expected


ACCEPTED = [
    "2026-11-24T09:30:00Z",
    "2026-11-24t09:30:00z",
    "2026-11-24T09:30:00+00:00",
    "2026-11-24T09:30:00-00:00",
    "2026-11-24T00:00:00+23:59",
    "2026-11-24T23:59:59-23:59",
    "2026-11-24T09:30:00.0Z",
    "2026-11-24T09:30:00.123456789012Z",
    "2024-02-29T00:00:00Z",
    "2000-02-29T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T01:00:00+01:00",
    "9999-12-31T23:59:59.999Z",
    "2026-06-30T23:59:60Z",
    "2026-11-30T23:59:60Z",
    "2026-07-01T00:59:60+01:00",
    "2026-06-30T22:59:60.5-01:00",
]
REFUSED = [
    "2026-11-24",
    "2026-11-24T09:30Z",
    "2026-11-24T09Z",
    "2026-11-24T09:30:00",
    "2026-11-24_09:30:00Z",
    "2026-11-24TT09:30:00Z",
    "20261124T093000Z",
    "2026-11-24T093000Z",
    "20261124T09:30:00Z",
    "2026-W48-2T09:30:00Z",
    "2026-W48T09:30:00Z",
    "2026-328T09:30:00Z",
    "2026-11-24T09:30:00+0100",
    "2026-11-24T09:30:00+01",
    "2026-11-24T09:30:00+1:00",
    "2026-11-24T09:30:00+01:00:00",
    "2026-11-24T09:30:00+24:00",
    "2026-11-24T09:30:00+00:60",
    "2026-11-24T09:30:00Z+00:00",
    "2026-11-24T09:30:00ZZ",
    "2026-11-24T09:30:00UTC",
    "2026-11-24T09:30:00[UTC]",
    "2026-11-24T09:30:00Z[UTC]",
    "2026-11-24T09:30:00\u221201:00",
    "2026-11-24T24:00:00Z",
    "2026-11-24T09:60:00Z",
    "2026-11-24T09:30:61Z",
    "2026-11-24T09:30:60Z",
    "2026-11-24T23:59:60Z",
    "2026-06-30T23:59:60-01:00",
    "2026-07-01T23:59:60Z",
    "9999-12-31T23:59:60Z",
    "2026-11-24T09:30:00.Z",
    "2026-11-24T09:30:00,5Z",
    "2026-11-24T09:30:00.5.5Z",
    "2026-11-24T09:30.5Z",
    "2026-1-24T09:30:00Z",
    "26-11-24T09:30:00Z",
    "02026-11-24T09:30:00Z",
    "+2026-11-24T09:30:00Z",
    "-2026-11-24T09:30:00Z",
    "0000-01-01T00:00:00Z",
    "2026-00-24T09:30:00Z",
    "2026-13-24T09:30:00Z",
    "2026-11-00T09:30:00Z",
    "2026-11-31T09:30:00Z",
    "2026-02-29T09:30:00Z",
    "1900-02-29T00:00:00Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "\u0662026-11-24T09:30:00Z",
    "2026-11-24T09:30:0\u0660Z",
    "2026-11-24T09:30:00.\u0665Z",
    "2026-11-2\uff14T09:30:00Z",
    "2026-11-24T09:30:00+0\u0661:00",
    "1764000000",
    "P1D",
    "now",
    "T09:30:00Z",
    "2026/11/24T09:30:00Z",
]
REFUSED += [
    "",
    " ",
    "2026-11-24 09:30:00Z",
    "2026-11-24T09:30:00Z\n",
    " 2026-11-24T09:30:00Z",
    "2026-11-24T09:30:00 Z",
]
REFUSED += ["2026-11-24T09:30:00Z\x00", "\ufeff2026-11-24T09:30:00Z", f"2026-11-24T09:30:00.{'1' * 200}Z"]


@pytest.mark.parametrize("text", ACCEPTED)
def test_valid_texts_are_accepted(text: str) -> None:
    """The minimum and maximum of each field, as the same moment as by the grammar."""
    assert parsed_by_grammar(text) is not None
    assert parsed_by_scalar(text) == parsed_by_grammar(text)


@pytest.mark.parametrize("text", REFUSED)
def test_invalid_texts_are_refused(text: str) -> None:
    """Other notations of ISO 8601, values out of range, digits of other scripts, and surrounding text."""
    assert (parsed_by_grammar(text), parsed_by_scalar(text)) == (None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T09:30:00", "needs an offset"),
        ("2026-11-24 09:30:00Z", "`T` must separate"),
        ("2026-11-24T09:30:00+0100", "needs a colon"),
        ("2023-02-29T09:30:00Z", "day"),
        ("2026-11-24T09:30:60Z", "a leap second ends a month"),
        ("0001-01-01T00:00:00+00:01", "out of range"),
        ("9999-12-31T23:59:60Z", "out of range"),
        ("2026-11-24T09:30:00." + "1" * 200 + "Z", "At most 128 characters"),
        ("2026-W48-2T09:30:00Z", "Example: 2026-11-24T09:30:00Z"),
    ],
)
def test_errors_name_the_mistake(text: str, expected: str) -> None:
    """Each error names the mistake and gives an example."""
    with pytest.raises(GraphQLError) as excinfo:
        scalar.parse_value(text)
    assert expected in excinfo.value.message
    assert "Example" in excinfo.value.message


@pytest.mark.parametrize("literal", ['"2026-11-24T09:30:00Z"', '"""2026-11-24T09:30:00Z"""'])
def test_literals_are_parsed_like_variables(literal: str) -> None:
    """A string of either form in the document."""
    assert scalar.parse_literal(parse_value(literal)) == datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("literal", ["20261124", "1.5", "true", "NOW", "[]", "{}", '"2026-11-24"'])
def test_other_literals_are_refused(literal: str) -> None:
    """Numbers of seconds among them."""
    with pytest.raises(GraphQLError):
        scalar.parse_literal(parse_value(literal))


@given(st.datetimes(timezones=st.timezones() | st.just(timezone(timedelta(minutes=-25, seconds=-21)))))
def test_serialized_times_can_be_parsed(moment: datetime) -> None:
    """In any zone, also one whose offset has seconds, the text is RFC 3339 of the same moment."""
    try:
        text = scalar.serialize(moment)
    except OverflowError:
        return  # beyond the calendar in UTC
    assert parsed_by_grammar(text) is not None
    assert scalar.parse_value(text) == moment.astimezone(UTC)  # of two zones, times that come twice are never equal


def test_a_time_without_a_zone_is_not_serialized() -> None:
    """It could be any moment."""
    with pytest.raises((GraphQLError, ValueError), match="time zone"):
        scalar.serialize(datetime(2026, 11, 24))  # noqa: DTZ001 - the matter of the test


def test_every_stored_time_has_a_zone() -> None:
    """No column stores a time without a zone."""
    columns = [column for table in Base.metadata.tables.values() for column in table.c]
    times = {str(column): column.type.timezone for column in columns if isinstance(column.type, DateTime | Time)}
    assert len(times) > 10
    assert [name for name, has_zone in times.items() if not has_zone] == []


async def test_literals_variables_and_responses_of_the_api(runtime: Runtime, api: ApiClient) -> None:
    """A time means the same in a literal and a variable; every time in a response is RFC 3339 in UTC."""
    actor = await factories.organization(runtime)
    await factories.campaign(runtime, actor)
    caller = api.as_(factories.token(runtime, actor))
    fields = "totalCount nodes { createdAt updatedAt progress { occurredAt } }"
    variable = f"query ($at: DateTime) {{ campaigns(filter: {{createdAt: {{gte: $at}}}}) {{ {fields} }} }}"
    before, after = (now() + timedelta(hours=hours) for hours in (-1, 1))
    for moment, total in ((before, 1), (after, 0)):
        timestamp = moment.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
        literal = f'{{ campaigns(filter: {{createdAt: {{gte: "{timestamp}"}}}}) {{ {fields} }} }}'
        answers = [
            await caller.execute(literal),
            *[await caller.execute(variable, {"at": timestamp}) for _ in range(3)],
        ]
        assert [answer["campaigns"]["totalCount"] for answer in answers] == [total] * 4
        for node in [node for answer in answers for node in answer["campaigns"]["nodes"]]:
            for text in (node["createdAt"], node["updatedAt"], node["progress"]["occurredAt"]):
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", text)
    reply = await caller.send(variable, {"at": "2026-W48-2T09:30:00Z"})
    assert reply.codes == ["BAD_USER_INPUT"]
    reply = await caller.send('{ campaigns(filter: {createdAt: {lt: "2026-11-24T09:30:00"}}) { totalCount } }')
    assert reply.codes == ["BAD_USER_INPUT"]
    assert "offset" in reply.body["errors"][0]["message"]
