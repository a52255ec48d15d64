"""The values that generated operations use: mostly ids and values that exist, and some invalid ones."""

import json
from datetime import timedelta
from typing import Any

from core import clock
from core.ids import encode_global_id, new_id
from tests.execution.company import GREETING, OPEN, PASSWORD, PAUSED, REPLIES, SCHEDULED, SENDING, TOKENS, Company

Literals = dict[str, list[tuple[str, Any]]]


def plain(*values: object) -> list[tuple[str, Any]]:
    """Literals of texts and numbers."""
    return [(json.dumps(value, ensure_ascii=False), value) for value in values]


def literals(company: Company) -> Literals:
    """The values that operations use: mostly valid ones that exist or are taken, and some invalid ones."""
    ids = {kind: company.global_ids_of(kind) for kind in company.ids}
    messages = dict(zip(company.ids["MayaMessage"], ids["MayaMessage"], strict=True))
    campaigns = dict(zip(company.ids["Campaign"], ids["Campaign"], strict=True))
    ended_ids = [messages[name] for name in REPLIES if name not in OPEN]
    nowhere = [encode_global_id("Campaign", new_id()), "nonsense"]
    soon = (clock.now() + timedelta(days=30)).replace(microsecond=0).isoformat()
    moments = (soon, "2025-11-24T09:30:00Z", "2020-02-29T00:00:00+05:30", "2090-01-01T00:00:00Z")
    html = (GREETING, "<a href='{{ unsubscribeUrl }}'>Leave</a>", "", "{{ contact.firstName | nothing }}", "{% if %}")
    singles = ("Campaign", "Contact", "Conversation", "List", "Sender", "Template")
    return {
        **{f"{kind.lower()}.id": plain(*ids[kind], *nowhere) for kind in singles},
        "ID": plain(*(one for kind in ids.values() for one in kind), *nowhere),
        "Int": plain(1, 2, 3, 25, 100, 0),
        "EmailAddress": plain("ada@example.com", "New@example.com", "other@example.com", "none"),
        "DateTime": plain(*moments),
        "JSON": [("{a: 1}", {"a": 1}), ('{plan: null, at: ["x", 1.5, true]}', {"plan": None}), ("{a: {b: 1}}", [1])],
        "campaignId": plain(*ids["Campaign"], *ids["Campaign"], *nowhere),
        "PauseCampaignInput.campaignId": plain(*[campaigns[SENDING]] * 3, *ids["Campaign"], *nowhere),
        "ResumeCampaignInput.campaignId": plain(*[campaigns[PAUSED]] * 3, *ids["Campaign"], *nowhere),
        "UnscheduleCampaignInput.campaignId": plain(*[campaigns[SCHEDULED]] * 3, *ids["Campaign"], *nowhere),
        "contactId": plain(*ids["Contact"], *nowhere),
        "contactIds": plain(*ids["Contact"], *ids["Contact"], *nowhere),
        "conversationId": plain(*ids["Conversation"], *nowhere),
        "listId": plain(*ids["List"], *nowhere),
        "listIds": plain(*ids["List"], *ids["List"], *nowhere),
        "excludeListIds": plain(*ids["List"], *nowhere),
        "messageId": plain(*ids["MayaMessage"], *nowhere),
        "senderId": plain(*ids["Sender"], *nowhere),
        "token": plain(*TOKENS.values(), "nonsense"),
        "templateId": plain(*ids["Template"], *nowhere),
        "email": plain("ada@example.com", "GRACE@example.com", "new@example.com", "linus@example.com", "none"),
        "LogInInput.email": plain("owner@example.com", "Owner@Example.com", "nobody@example.com"),
        "SignUpInput.email": plain("first@example.com", "second@example.com", "owner@example.com", "none"),
        "password": plain(PASSWORD, PASSWORD, PASSWORD, "short"),
        "refreshToken": plain(*TOKENS.values(), "nonsense"),
        "name": plain("New", "Other", "Customers", "Rich", " two  words ", ""),
        "title": plain("Plans", "", "x" * 201),
        "subject": plain("Hello {{ contact.firstName }}", "News ☃", "", "{{ contact.", "two\nlines"),
        "htmlContent": plain(*html),
        "textContent": plain("Hello {{ contact.firstName }}", "", "{% endif %}"),
        "text": plain("How did Spring go?", "  And\n\nthen? ", ""),
        "deliveryId": plain(*ids["Delivery"], *ids["Delivery"], *nowhere),
        "idempotencyKey": plain("one", "two", ""),
        "timeZone": plain("Europe/Berlin", "Mars/Base"),
        "tags": plain("new", "vip", "fresh", "VIP", " two  words ", "x" * 65),
        "to": plain("one@example.com", "two@example.com", "refused@example.com", "edsger@example.com", "none"),
        "version": plain(1, 2, 3),
        "after": plain(*[""] * 4, "nonsense"),
        "before": plain(*[""] * 4, "nonsense"),
        "mayaReply.after": plain(0, 0, 0, 1, 2, 4, 5, 99, -1),
        "mayaReply.messageId": plain(*ended_ids, messages["asked failed"], *nowhere),
        "scheduledAt": [*plain(soon, soon, soon, *moments), (f'"{soon}"', "never")],
    }
