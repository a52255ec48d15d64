"""`nudge api` and `nudge worker` in a production without one of the vendors."""

import json

import pytest

from local.folder import free_port
from runtime import Runtime
from services.features import Feature
from tests.operating.test_serving import first_line

EMPTY = {
    Feature.SENDING: ("NUDGE_POSTMARK__BASE_URL", "NUDGE_POSTMARK__SERVER_TOKEN"),
    Feature.MAYA: ("NUDGE_LLM__BASE_URL", "NUDGE_LLM__API_KEY"),
}


@pytest.mark.parametrize("verb", ["api", "worker"])
@pytest.mark.parametrize("feature", Feature)
async def test_a_process_logs_at_its_start_which_feature_is_off(
    runtime: Runtime, verb: str, feature: Feature
) -> None:
    """It serves, and logs the feature with the settings that would switch it on."""
    production = {
        "NUDGE_ENVIRONMENT": "production",
        "NUDGE_API__PUBLIC_URL": "https://mail.example.org",
        "NUDGE_API__PORT": str(free_port()),
        "NUDGE_POSTMARK__SENDER": "news@example.org",
    }
    line = await first_line(runtime, verb, "feature off", **production, **dict.fromkeys(EMPTY[feature], ""))
    entry = json.loads(line)
    assert (entry["level"], entry["feature"], entry["settings"]) == ("warning", feature, list(EMPTY[feature]))


async def test_an_incomplete_vendor_prevents_the_start(runtime: Runtime) -> None:
    """The missing settings are named, and nothing is served."""
    variables = {
        "NUDGE_ENVIRONMENT": "production",
        "NUDGE_API__PUBLIC_URL": "https://mail.example.org",
        "NUDGE_POSTMARK__SENDER": "news@example.org",
        "NUDGE_POSTMARK__SERVER_TOKEN": "",
    }
    line = await first_line(runtime, "api", "Missing", **variables)
    assert line.startswith(
        "nudge: Missing: NUDGE_POSTMARK__SERVER_TOKEN. Set it, or leave out NUDGE_POSTMARK__BASE_URL"
    )
