"""Settings of the language model's server."""

from pydantic import Field, SecretStr

from core.configuration import Group


class LLMSettings(Group):
    base_url: str | None = Field(None, description="OpenRouter, or any server that speaks OpenAI's API.")
    api_key: SecretStr | None = Field(None, description="Its key.")
    models: list[str] = Field(
        ["openai/gpt-5-mini", "anthropic/claude-haiku-4.5"],
        description="Models, in order of preference (JSON).",
        min_length=1,
    )
    timeout_seconds: float = Field(60.0, gt=0, description="Timeout of one of Maya's replies.")
