"""Adapters of the outside world: a protocol each, the real one, and a recording one for tests."""

from collections.abc import Mapping

from core.settings import Settings
from integrations.language import LanguageModel
from integrations.mail import Mailer
from integrations.mail_events import MailWebhooks
from integrations.openrouter import OpenRouter
from integrations.postmark import PostmarkMailer
from integrations.postmark_webhooks import PostmarkWebhooks

__all__ = ["LanguageModel", "MailWebhooks", "Mailer", "build_language_model", "build_mailer", "build_webhooks"]


def build_mailer(settings: Settings) -> Mailer:
    """The mailer that the settings name; it connects on first use."""
    postmark = settings.postmark
    if postmark.base_url is None or postmark.server_token is None:
        raise AssertionError("settings.require() was not called")
    return PostmarkMailer(
        base_url=postmark.base_url,
        server_token=postmark.server_token.get_secret_value(),
        message_stream=postmark.message_stream,
        transactional_stream=postmark.transactional_stream,
        sender=postmark.sender,
        timeout_seconds=postmark.timeout_seconds,
        messages_per_second=postmark.messages_per_second,
    )


def build_webhooks(settings: Settings) -> Mapping[str, MailWebhooks]:
    """The webhooks of every mail provider that we can read, by the provider's name in the inbox."""
    postmark = settings.postmark
    password = postmark.webhook_password
    known = [
        PostmarkWebhooks(
            username=postmark.webhook_username,
            password=password.get_secret_value() if password else None,
            stream=postmark.message_stream,
        )
    ]
    return {each.provider: each for each in known}


def build_language_model(settings: Settings) -> LanguageModel:
    """The language model that the settings name; it connects on first use."""
    llm = settings.llm
    if llm.base_url is None or llm.api_key is None:
        raise AssertionError("settings.require() was not called")
    return OpenRouter(base_url=llm.base_url, api_key=llm.api_key.get_secret_value())
