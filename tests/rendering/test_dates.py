"""The `date` filter: the expected results are those of the reference implementation (in UTC)."""

import datetime as dt
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rendering.errors import RenderFailed
from services.rendering.filters.dates import date
from services.rendering.filters.reading_dates import read_moment
from services.rendering.templates import compile_template
from tests.properties import examples

ISO: Final = "%Y-%m-%d %H:%M:%S %z"
TODAY: Final = dt.date(2026, 11, 28)
MOMENT: Final = "2026-03-04T15:06:07.123456+02:00"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2016-03-14", "2016-03-14 00:00:00 +0000"),
        ("2016-03-14T10:00:00Z", "2016-03-14 10:00:00 +0000"),
        ("2016-03-14 10:00:00.5 +0100", "2016-03-14 10:00:00 +0100"),
        ("20160314T101500-0530", "2016-03-14 10:15:00 -0530"),
        ("2016-03-14 10:15 +530", "2016-03-14 10:15:00 +0530"),
        ("2016-03-14 10:15 gmt+5", "2016-03-14 10:15:00 +0500"),
        ("March 14, 2016", "2016-03-14 00:00:00 +0000"),
        ("14 March 2016", "2016-03-14 00:00:00 +0000"),
        ("14. march 16", "2016-03-14 00:00:00 +0000"),
        ("Mon, 14 Mar 2016 10:00:00 EST", "2016-03-14 10:00:00 -0500"),
        ("3 April", "2026-04-03 00:00:00 +0000"),
        ("April", "2026-04-01 00:00:00 +0000"),
        ("april 2016", "2016-04-01 00:00:00 +0000"),
        ("june 5 10pm", "2026-06-05 22:00:00 +0000"),
        ("03/04/1990", "1990-04-03 00:00:00 +0000"),
        ("3/4", "2026-03-04 00:00:00 +0000"),
        ("1990/04/03", "1990-04-03 00:00:00 +0000"),
        ("03-04-1990", "1990-04-03 00:00:00 +0000"),
        ("03.04.1990", "1990-04-03 00:00:00 +0000"),
        ("03/04/05", "2003-04-05 00:00:00 +0000"),
        ("14-MAR-69", "1969-03-14 00:00:00 +0000"),
        ("mar-14-68", "2068-03-14 00:00:00 +0000"),
        ("'99", "1999-01-01 00:00:00 +0000"),
        ("2001-034", "2001-02-03 00:00:00 +0000"),
        ("3rd feb 2001 04:05:06 pm", "2001-02-03 16:05:06 +0000"),
        ("10:30", "2026-11-28 10:30:00 +0000"),
        ("12am", "2026-11-28 00:00:00 +0000"),
        ("5th", "2026-11-05 00:00:00 +0000"),
        ("10:30 14", "2026-11-14 10:30:00 +0000"),
        ("10:30 034", "2026-02-03 10:30:00 +0000"),
        ("10:30 0314", "2026-03-14 10:30:00 +0000"),
        ("10:30 160314", "2016-03-14 10:30:00 +0000"),
        ("3 April 5th", "2003-04-05 00:00:00 +0000"),
        ("2012-02-31", "2012-03-02 00:00:00 +0000"),
        ("1990-12-31t24:00", "1991-01-01 00:00:00 +0000"),
    ],
)
def test_dates_are_parsed_like_the_reference(text: str, expected: str) -> None:
    """ISO, words, digits (day first) and times, completed by today's date."""
    moment = read_moment(text.lower(), TODAY)
    assert moment
    assert moment.time.strftime(ISO) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "friday",
        "abc",
        "2016-13-14",
        "14/14/1990",
        "32 march",
        "25:00",
        "10:61",
        "12.5",
        "2001-400",
        "x" * 129,
        "-1",
    ],
)
def test_text_without_a_date_is_returned_unchanged(text: str) -> None:
    """A weekday alone, or a day that does not exist, is no date."""
    assert date(text, "%Y") == text


@pytest.mark.parametrize("value", [None, True, 1.5, ["a"], {"a": 1}, 10**20])
def test_other_values_are_returned_unchanged(value: object) -> None:
    """Only texts, whole numbers and dates can be dates."""
    assert date(value, "%Y") is value


@pytest.mark.parametrize("pattern", [None, "", False])
def test_without_a_pattern_the_value_is_returned(pattern: object) -> None:
    """`date: nil` returns the value; false is a pattern without directives."""
    assert date(MOMENT, pattern) == ("false" if pattern is False else MOMENT)


@pytest.mark.parametrize("value", [1152098955, "1152098955", dt.datetime(2006, 7, 5, 11, 29, 15, tzinfo=dt.UTC)])
def test_seconds_and_dates_are_utc(value: object) -> None:
    """Seconds since 1970, as a number or text, do not depend on the server's time zone."""
    assert date(value, ISO) == "2006-07-05 11:29:15 +0000"
    assert date(dt.date(2006, 7, 5), "%F %Z") == "2006-07-05 UTC"


@pytest.mark.parametrize("value", ["now", "Today", "NOW"])
def test_now_is_today(value: str) -> None:
    """`now` and `today` are the time of rendering."""
    before = dt.datetime.now(dt.UTC)
    today = dt.datetime.fromisoformat(str(date(value, "%FT%T%:z")))
    assert before - dt.timedelta(seconds=1) <= today <= dt.datetime.now(dt.UTC)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("%Y %C %y %m %B %b %h %-m %^b", "2026 20 26 03 March Mar Mar 3 MAR"),
        ("%d %e %-d %j %03e %_d", "04  4 4 063 004  4"),
        ("%H %k %I %l %M %S %p %P %#p", "15 15 03  3 06 07 PM pm pm"),
        ("%L %N %3N %6N %12N", "123 123456000 123 123456 123456000000"),
        ("%z %:z %::z %Z %s", "+0200 +02:00 +02:00:00  1772629567"),
        ("%_z|%_:z|%_10z|%10z|%010z", " +200| +2:00|      +200|+000000200|+000000200"),
        ("%A %a %^a %u %w", "Wednesday Wed WED 3 3"),
        ("%G %g %V %U %W", "2026 26 10 09 09"),
        ("%c|%D|%F|%T|%R", "Wed Mar  4 15:06:07 2026|03/04/26|2026-03-04|15:06:07|15:06"),
        ("%r|%v|%x|%X|%^c", "03:06:07 PM| 4-MAR-2026|03/04/26|15:06:07|WED MAR  4 15:06:07 2026"),
        ("%n%t%%", "\n\t%"),
        ("%Ey %Od %Ed %Q %i 100 % %", "26 04 %Ed %Q %i 100 % %"),
        ("%10Y %_6m %-H:%-M %^10a %05d", "0000002026      3 15:6        WED 00004"),
        ("day %d of %B", "day 04 of March"),
    ],
)  # fmt: skip
def test_directives_are_formatted_like_the_reference(pattern: str, expected: str) -> None:
    """Each directive, with its flags and widths; unknown directives are kept."""
    assert date(MOMENT, pattern) == expected


@pytest.mark.parametrize("pattern", ["%101d", "%99999999999Y", "%1000N"])
def test_widths_are_bounded(pattern: str) -> None:
    """A width cannot make a message extremely long."""
    with pytest.raises(RenderFailed, match="at most 100 characters wide"):
        compile_template("{{ d | date: p }}", html=False, field=()).render({"d": MOMENT, "p": pattern})


MOMENTS: Final = st.datetimes(
    min_value=dt.datetime(1000, 1, 1),  # noqa: DTZ001 - the zone is drawn
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))),
)
DIRECTIVES: Final = (
    "%a|%A|%b|%B|%C|%d|%D|%e|%F|%g|%G|%h|%H|%I|%j|%m|%M|%n|%p|%r|%R|%S|%t|%T|%u|%U|%V|%w|%W|%x|%X|%y|%Y|%z|%%"
)


@examples()
@given(moment=MOMENTS)
def test_directives_are_those_of_strftime(moment: dt.datetime) -> None:
    """Each directive that C has gives what the C library gives; `%k` and `%l` are `%H` and `%I` without zeros."""
    assert date(moment, DIRECTIVES) == moment.strftime(DIRECTIVES)
    assert date(moment, "%-d.%-m. %k %l") == (
        f"{moment.day}.{moment.month}. {moment.hour:2d} {(moment.hour - 1) % 12 + 1:2d}"
    )
    assert date(moment, "%s") == str(int(moment.replace(microsecond=0).timestamp()))


SECONDS: Final = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y%m%dT%H%M%S", "%Y%m%d%H%M%S", "%Y-%j %H:%M:%S",
    "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d-%m-%Y %H:%M:%S", "%Y/%m/%d, %H:%M:%S", "%d %B %Y %H:%M:%S",
    "%a %b %d %H:%M:%S %Y", "%A, %d. %B %Y, %H:%M:%S", "%B %d, %Y %I:%M:%S %p", "%I:%M:%S%p %d %b %Y",
    "%d-%b-%Y %H:%M:%S", "%b-%d-%Y %H:%M:%S", "%d %B '%Y %H:%M:%S", "%B %d '%Y %H:%M:%S", "%Hh %Mm %Ss %d %b %Y",
)  # fmt: skip


@pytest.mark.parametrize("form", SECONDS)
@examples(10)
@given(moment=MOMENTS)
def test_what_strftime_writes_is_read_back(form: str, moment: dt.datetime) -> None:
    """Whatever the order of day, month and year, and with letters of either case."""
    read = read_moment(moment.strftime(form).lower(), TODAY)
    assert read
    assert read.time == moment.replace(microsecond=0, tzinfo=dt.UTC)


@examples()
@given(moment=MOMENTS)
def test_zones_and_fractions_are_read_back(moment: dt.datetime) -> None:
    """ISO 8601 to the microsecond, and the dates of e-mails."""
    for text in (moment.isoformat(), moment.isoformat().replace(".", ","), f"{moment:%d %b %Y %H:%M:%S.%f utc%z}"):
        read = read_moment(text.lower(), TODAY)
        assert read
        assert (read.time, read.time.utcoffset()) == (moment, moment.utcoffset())
    read = read_moment(format_datetime(moment).lower(), TODAY)
    assert read
    assert read.time == moment.replace(microsecond=0)


@pytest.mark.parametrize("form", ["%d %b %y", "%d-%b-%y", "%y-%m-%d", "%d %b '%y", "%y%m%d", "%y-%j", "%y%j"])
@pytest.mark.parametrize("year", [1969, 1970, 1999, 2000, 2009, 2026, 2068])
def test_years_of_two_digits_are_those_of_strptime(form: str, year: int) -> None:
    """From 69 on they belong to the twentieth century, as in POSIX."""
    day = dt.datetime(year, 3, 24, tzinfo=dt.UTC)
    read = read_moment(day.strftime(form).lower(), TODAY)
    assert read
    assert read.time == day
    assert dt.datetime.strptime(day.strftime(form), form).replace(tzinfo=dt.UTC) == day


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 may 2026 24:00:00", "2026-05-04 00:00:00"),
        ("3 may 2026 23:59:60", "2026-05-04 00:00:00"),
        ("31 may 2026 0:00", "2026-05-31 00:00:00"),
        ("2024-366", "2024-12-31 00:00:00"),
        ("2026-001", "2026-01-01 00:00:00"),
        ("3 may 2026 24:00:01", None),
        ("3 may 2026 25:00", None),
        ("3 may 2026 10:60", None),
        ("3 may 2026 10:00:61", None),
        ("32 may 2026", None),
        ("0 may 2026", None),
        ("2026-13-01", None),
        ("2026-00-01", None),
        ("2026-000", None),
        ("2026-367", None),
    ],
)
def test_dates_at_the_end_of_a_range(text: str, expected: str | None) -> None:
    """The last second, day and month are dates, and what follows them is none."""
    read = read_moment(text, TODAY)
    assert (read and f"{read.time:%F %T}") == expected


@pytest.mark.parametrize("zone", ["UT", "UTC", "GMT", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT"])
def test_names_of_zones_are_those_of_email(zone: str) -> None:
    """As in the header of a message (RFC 5322, 4.3)."""
    text = f"Mon, 14 Mar 2016 10:15:30 {zone}"
    assert date(text, "%s") == str(int(parsedate_to_datetime(text).timestamp()))


@pytest.mark.parametrize(
    ("letter", "hours"), [("a", 1), ("i", 9), ("k", 10), ("m", 12), ("n", -1), ("y", -12), ("z", 0)]
)
def test_letters_of_zones_are_those_of_the_military(letter: str, hours: int) -> None:
    """From A to M east of Greenwich, without J, and from N to Y west of it."""
    assert date(f"2016-03-14 12:00 {letter}", "%F %T %z") == f"2016-03-14 12:00:00 {hours:+03d}00"
