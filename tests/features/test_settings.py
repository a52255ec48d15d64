"""Which settings switch a feature off, and which are a mistake."""

import pytest
from pydantic import SecretStr

from core.configuration import Environment, SettingsInvalid
from integrations.language_settings import LLMSettings
from integrations.postmark.settings import PostmarkSettings
from services.features import Feature
from settings import Settings, require
from tests.conftest import Servers, settings_for
from tests.features.conftest import without

TOKEN = SecretStr("a-token")
PRODUCTION = {"environment": Environment.PRODUCTION}


def production(servers: Servers, **groups: object) -> Settings:
    """A production's settings, with other groups in their place."""
    found = settings_for(servers, "any")
    api = found.api.model_copy(update={"public_url": "https://mail.example.org"})
    return found.model_copy(update={**PRODUCTION, "api": api, **groups})


@pytest.mark.parametrize("feature", Feature)
def test_a_vendor_that_is_left_out_switches_its_feature_off(servers: Servers, feature: Feature) -> None:
    """A production without it can serve, with every other feature."""
    settings = without(production(servers, postmark=PostmarkSettings(**postmark(sender="n@example.org"))), feature)
    require(settings)
    assert settings.features.off == {feature}


def test_a_password_of_ours_asks_for_nothing(servers: Servers) -> None:
    """`nudge secrets` prints one for the webhooks, also for whoever has no provider yet."""
    settings = production(servers, postmark=PostmarkSettings(webhook_password=TOKEN))
    require(settings)
    assert settings.features.off == {Feature.SENDING}


def postmark(**changes: object) -> dict[str, object]:
    """All that production needs of Postmark, but a sender."""
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
def test_half_a_vendor_is_a_mistake(servers: Servers, groups: dict[str, object], missing: str) -> None:
    """Nobody is told that a feature is off who has begun to set it up: what is missing is named, and the way out."""
    usual = {"postmark": PostmarkSettings(**postmark(sender="n@example.org"))}
    with pytest.raises(SettingsInvalid, match=f"^Missing: .*{missing}.*leave out .* to run without") as raised:
        require(production(servers, **{**usual, **groups}))
    assert "a-token" not in str(raised.value)


def test_what_every_process_needs_stays_required(servers: Servers) -> None:
    """Database, Redis, signing keys and the public URL cannot be left out."""
    found = production(servers)
    for group, name in (("database", "url"), ("redis", "url"), ("auth", "signing_key"), ("security", "secret_key")):
        changed = found.model_copy(update={group: getattr(found, group).model_copy(update={name: None})})
        with pytest.raises(SettingsInvalid, match=f"NUDGE_{group.upper()}__{name.upper()}"):
            require(changed)
    with pytest.raises(SettingsInvalid, match="NUDGE_API__PUBLIC_URL"):
        require(found.model_copy(update={"api": found.api.model_copy(update={"public_url": None})}))
