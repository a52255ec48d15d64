"""A campaign's message is the same in a preview, in a test message and for every recipient."""

import pytest
from sqlalchemy import update

from models.campaigns import Campaign
from models.contacts import Contact
from runtime import Runtime
from services.campaigns import test_sends
from services.deliveries.sending import CampaignSender
from services.messages import previews
from tests import factories
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import drain, start

LINK = '<p><a href="{{ unsubscribeUrl }}">Unsubscribe</a></p>'
FOOTER = "You receive this e-mail from"


@pytest.mark.parametrize(
    "case",
    [
        ("<p>Hi</p><!-- {% if contact.customFields.vip %} --><p>VIP</p><!-- {% endif %} -->" + LINK, "Hi", 0),
        ("<p>Hi</p><!-- {{ unsubscribeUrl }} -->", "Hi", 2),
        ("<p>Hi</p><!--[if mso]>" + LINK + "<![endif]--></body>", "Hi", 2),
        (
            "<p>{{ contact.lastName | escape }} {{ contact.customFields.note | newline_to_br }}</p>" + LINK,
            "O'Neil a\nb",
            0,
        ),
        ('<a href="{{ unsubscribeUrl }}">{{ unsubscribeUrl }}</a>', "URL", 0),
        ("{% if contact.customFields.vip %}" + LINK + "{% endif %}<p>Hi</p>", "Hi", 2),
        ('<div style="display:none">' + LINK + "</div><p>Hi</p>", "Hi", 2),
    ],
)
async def test_preview_test_and_campaign_are_the_same_message(
    runtime: Runtime, provider: Provider, sender: CampaignSender, case: tuple[str, str, int]
) -> None:
    """Only the unsubscribe address differs; the footer is added where the author's link would not be visible."""
    html, text, footers = case
    owner = await factories.organization(runtime)
    [contact_id] = await factories.contacts(runtime, owner, 1)
    campaign_id = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(Contact).values(last_name="O'Neil", custom_fields={"note": "a\nb"}))
        await uow.execute(update(Campaign).values(html_content=html, text_content=""))
    reads = runtime.reads(owner.tenant)
    contact = await previews.contact_values(reads, contact_id)
    texts = {"subject": "Hi", "html_content": html, "text_content": ""}
    preview = await previews.render(reads, texts, contact, name="Spring")  # type: ignore[arg-type]  # the three texts
    test = await test_sends.prepare(
        reads,
        campaign_id,
        ["a@example.com"],
        contact=contact,
        policy=runtime.sender_policy,
        public_url="https://nudge.example",
    )
    await start(runtime, owner, campaign_id)
    await drain(sender, owner, campaign_id)
    [entry] = await provider.messages(campaign_id)
    answer = await provider.client.call("GET", f"/sandbox/messages/{entry['message_id']}")
    sent = answer.object()["message"]
    assert isinstance(sent, dict)
    own = next(header["Value"] for header in sent["Headers"] if header["Name"] == "List-Unsubscribe").strip("<>")
    parts = [
        (preview.html.replace(previews.PREVIEW_URL, "URL"), preview.text.replace(previews.PREVIEW_URL, "URL")),
        tuple(part.replace(test.unsubscribe_url, "URL") for part in (test.message.html, test.message.text)),
        (sent["HtmlBody"].replace(own, "URL"), sent["TextBody"].replace(own, "URL")),
    ]
    assert parts[0] == parts[1] == parts[2]
    assert parts[0][1].startswith(text)
    assert "VIP" not in parts[0][1]
    assert sum(FOOTER in part for part in parts[0]) == footers
