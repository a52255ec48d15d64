"""Adapters of the outside world: a protocol each, the real one, and a recording one for tests."""

from core.settings import Settings
from integrations.mail import Mailer
from integrations.postmark import PostmarkMailer

__all__ = ["Mailer", "build_mailer"]


def build_mailer(settings: Settings) -> Mailer:
    """The mailer that the settings name; it connects on first use."""
    postmark = settings.postmark
    if postmark.base_url is None or postmark.server_token is None:
        raise AssertionError("settings.require() was not called")
    return PostmarkMailer(
        base_url=postmark.base_url,
        server_token=postmark.server_token.get_secret_value(),
        message_stream=postmark.message_stream,
    )
