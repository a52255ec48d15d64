"""Adapters of the outside world: a protocol each, the real one, and a recording one for tests."""

from core.settings import Settings
from integrations.language import LanguageModel
from integrations.mail import Mailer
from integrations.openrouter import OpenRouter
from integrations.postmark import PostmarkMailer

__all__ = ["LanguageModel", "Mailer", "build_language_model", "build_mailer"]


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
    )


def build_language_model(settings: Settings) -> LanguageModel:
    """The language model that the settings name; it connects on first use."""
    llm = settings.llm
    if llm.base_url is None or llm.api_key is None:
        raise AssertionError("settings.require() was not called")
    return OpenRouter(base_url=llm.base_url, api_key=llm.api_key.get_secret_value())
