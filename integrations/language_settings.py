"""Settings of the language model's server."""

from pydantic import Field, SecretStr

from core.configuration import SettingsGroup


class LLMSettings(SettingsGroup):
    base_url: str | None = Field(
        None, description="Base URL of OpenRouter or of any server with an OpenAI-compatible API."
    )
    api_key: SecretStr | None = Field(None, description="API key of that server.")
    models: list[str] = Field(
        ["openai/gpt-5-mini", "anthropic/claude-haiku-4.5"],
        description="Language models in order of preference (JSON).",
        min_length=1,
    )
    timeout_seconds: float = Field(60.0, gt=0, description="Maximum duration of one of Maya's replies, in seconds.")
