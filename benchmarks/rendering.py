"""Rendering one message with generated code and with python-liquid: same templates and contacts.

Run with `python -m benchmarks.rendering` from the project's folder; takes about ten seconds.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

from services.rendering.environment import HTML
from services.rendering.messages import MessageTemplate, compile_message
from services.rendering.variables import campaign_variables, contact_variables

ROUNDS = 15
REPEATS = 400
FILLER = "<p>" + "Nineteen new arrivals for your spring walks, picked by people who wear them. " * 2 + "</p>\n"
FIVE_VALUES = (
    '<html><body><h1>Hello {{ contact.firstName | default: "there" }}</h1>\n'
    + FILLER * 3
    + "<p>Delivered to {{ contact.customFields.city }} for {{ contact.lastName }}.</p>\n"
    + FILLER * 4
    + '<a href="https://shop.example/?c={{ contact.email }}">Shop</a> <a href="{{ unsubscribeUrl }}">Unsubscribe</a>'
    + "</body></html>\n"
)
BRANCHES = (
    FIVE_VALUES
    + "{% if contact.tags contains 'vip' and contact.customFields.orders > 3 %}"
    + "<b>{{ contact.firstName | upcase }}</b>"
    + "{% elsif contact.tags.size == 0 %}<i>new</i>{% else %}<u>{{ contact.lastName }}</u>{% endif %}"
    + "<ul>{% for tag in contact.tags %}<li>{{ forloop.index }}: {{ tag | capitalize }}</li>{% endfor %}</ul>"
)
CAMPAIGN = campaign_variables(
    organization_name="Nudge & Co", campaign_name="Spring", unsubscribe_url="https://mail.example/u/0123456789abcdef"
)
CONTACT = partial(
    contact_variables,
    first_name="Zoë",
    last_name="O'Neil",
    email="zoe@example.com",
    custom_fields={"city": "Köln", "orders": 7},
    tags=["vip", "newsletter", "walkers"],
)


def compare(candidates: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The median microseconds per call, in interleaved rounds."""
    rounds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, call in candidates.items():
            started = time.perf_counter()
            for _ in range(REPEATS):
                call()
            rounds[name].append((time.perf_counter() - started) / REPEATS * 1e6)
    return {name: statistics.median(times) for name, times in rounds.items()}


def show(title: str, times: Mapping[str, float]) -> None:
    """Print each candidate in microseconds and as a multiple of the first."""
    print(f"\n{title}")
    first = next(iter(times.values()))
    for name, microseconds in times.items():
        print(f"  {name:<34}{microseconds:>9.2f} us{microseconds / first:>8.1f} x")


def _read_each_time(message: MessageTemplate) -> MessageTemplate:
    """The message without the analysis of its source: text and link are extracted from each rendered HTML."""
    return dataclasses.replace(message, text=None, space_runs=None, link=None, footer_offset=None)


def main() -> None:
    """Measure, and print all tables."""
    contact = CONTACT()
    variables = {"contact": contact, **CAMPAIGN}
    for title, source in (("five values", FIVE_VALUES), ("five values, branches and a loop", BRANCHES)):
        message = compile_message(subject="Hi {{ contact.firstName }}", html_content=source, text_content="")
        bound = HTML.from_string(source)
        assert message.html.compiled
        assert message.html.render(variables) == bound.render(variables)
        times = compare(
            {
                "generated code, HTML": partial(message.html.render, variables),
                "python-liquid, HTML": partial(bound.render, variables),
                "subject, HTML and text": partial(message.render, contact, CAMPAIGN),
                "the same, each HTML read": partial(_read_each_time(message).render, contact, CAMPAIGN),
                "a contact's variables": CONTACT,
            }
        )
        show(f"{title}, {len(source)} characters", times)
    started = time.perf_counter()
    compile_message(subject="Hi {{ contact.firstName }}", html_content=BRANCHES, text_content="")
    print(f"\nreading the last message: {(time.perf_counter() - started) * 1e3:.1f} ms, once per campaign")


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m benchmarks.rendering", description="It prints its results.").parse_args()
    main()
