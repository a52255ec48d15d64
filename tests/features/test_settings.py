"""Which missing settings switch a feature off, and which are an error."""

import pytest
from pydantic import SecretStr

from core.configuration import Environment, InvalidSettings
from integrations.language_settings import LLMSettings
from integrations.postmark.settings import PostmarkSettings
from services.features import Feature
from settings import Settings, require
from tests.conftest import Servers, settings_for
from tests.features.conftest import without

TOKEN = SecretStr("a-token")
PRODUCTION = {"environment": Environment.PRODUCTION}


def production(servers: Servers, **groups: object) -> Settings:
    """Settings of a production, with some groups replaced."""
    settings = settings_for(servers, "any")
    api = settings.api.model_copy(update={"public_url": "https://mail.example.org"})
    return settings.model_copy(update={**PRODUCTION, "api": api, **groups})


@pytest.mark.parametrize("feature", Feature)
def test_a_vendor_without_settings_switches_its_feature_off(servers: Servers, feature: Feature) -> None:
    """A production without it can serve, with all other features."""
    settings = without(production(servers, postmark=PostmarkSettings(**postmark(sender="n@example.org"))), feature)
    require(settings)
    assert settings.features.off == {feature}


def test_a_webhook_password_alone_requires_nothing(servers: Servers) -> None:
    """`nudge secrets` prints one, also for an installation without a provider."""
    settings = production(servers, postmark=PostmarkSettings(webhook_password=TOKEN))
    require(settings)
    assert settings.features.off == {Feature.SENDING}


def postmark(**changes: object) -> dict[str, object]:
    """All settings of Postmark that production requires, except the sender."""
    return {"base_url": "https://api.example", "server_token": TOKEN, "webhook_password": TOKEN, **changes}


@pytest.mark.parametrize(
    ("groups", "missing"),
    [
        (
            {"postmark": PostmarkSettings(base_url="https://api.example")},
            "SERVER_TOKEN, .*PASSWORD, .*SENDER",
        ),
        ({"postmark": PostmarkSettings(server_token=TOKEN)}, "NUDGE_POSTMARK__BASE_URL"),
        ({"postmark": PostmarkSettings(**postmark(webhook_password=None))}, "NUDGE_POSTMARK__WEBHOOK_PASSWORD"),
        ({"postmark": PostmarkSettings(**postmark())}, "NUDGE_POSTMARK__SENDER"),
        ({"llm": LLMSettings(base_url="https://models.example")}, "NUDGE_LLM__API_KEY"),
        ({"llm": LLMSettings(api_key=TOKEN)}, "NUDGE_LLM__BASE_URL"),
    ],
)
def test_an_incomplete_vendor_is_an_error(servers: Servers, groups: dict[str, object], missing: str) -> None:
    """The error lists the missing settings, and how to run without the vendor."""
    usual = {"postmark": PostmarkSettings(**postmark(sender="n@example.org"))}
    with pytest.raises(InvalidSettings, match=f"^Missing: .*{missing}.*leave out .* to run without") as raised:
        require(production(servers, **{**usual, **groups}))
    assert "a-token" not in str(raised.value)


def test_required_settings_of_every_process(servers: Servers) -> None:
    """Database, Redis, signing keys and the public URL are required."""
    settings = production(servers)
    for group, name in (("database", "url"), ("redis", "url"), ("auth", "signing_key"), ("security", "secret_key")):
        incomplete = settings.model_copy(update={group: getattr(settings, group).model_copy(update={name: None})})
        with pytest.raises(InvalidSettings, match=f"NUDGE_{group.upper()}__{name.upper()}"):
            require(incomplete)
    with pytest.raises(InvalidSettings, match="NUDGE_API__PUBLIC_URL"):
        require(settings.model_copy(update={"api": settings.api.model_copy(update={"public_url": None})}))
