"""Adapters of vendors: for each a protocol, an implementation, and one that records or scripts for tests.

Vendors' libraries are imported when an adapter is built, so that reading the settings needs none of them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from integrations.language import LanguageModel
from integrations.mail import Mailer
from integrations.mail_events import MailWebhooks

if TYPE_CHECKING:
    from integrations.language_settings import LLMSettings
    from integrations.postmark.settings import PostmarkSettings

__all__ = ["LanguageModel", "MailWebhooks", "Mailer", "build_language_model", "build_mailer", "build_webhooks"]


def build_mailer(settings: "PostmarkSettings") -> Mailer:
    """The mailer of the settings, which connects on first use; without settings one that sends nothing."""
    from integrations.postmark.mailer import PostmarkMailer
    from integrations.switched_off import NoMailer

    if settings.base_url is None or settings.server_token is None:
        return NoMailer()
    return PostmarkMailer(
        base_url=settings.base_url,
        server_token=settings.server_token.get_secret_value(),
        message_stream=settings.message_stream,
        transactional_stream=settings.transactional_stream,
        sender=settings.sender,
        timeout_seconds=settings.timeout_seconds,
        messages_per_second=settings.messages_per_second,
    )


def build_webhooks(settings: "PostmarkSettings") -> Mapping[str, MailWebhooks]:
    """The webhooks of every mail provider with an adapter, by the provider's name in the inbox."""
    from integrations.postmark.webhooks import PostmarkWebhooks

    password = settings.webhook_password
    known = [
        PostmarkWebhooks(
            username=settings.webhook_username,
            password=password.get_secret_value() if password else None,
            stream=settings.message_stream,
        )
    ]
    return {each.provider: each for each in known}


def build_language_model(settings: "LLMSettings") -> LanguageModel:
    """The language model of the settings, which connects on first use; without settings one that refuses."""
    if settings.base_url is None or settings.api_key is None:
        from integrations.switched_off import NoModel

        return NoModel()
    from integrations.openrouter import OpenRouter

    return OpenRouter(base_url=settings.base_url, api_key=settings.api_key.get_secret_value())
