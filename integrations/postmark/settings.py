"""Settings of the Postmark account, and of our webhook endpoint."""

from pydantic import Field, SecretStr

from core.configuration import SettingsGroup
from core.redaction import basic_authorization


class PostmarkSettings(SettingsGroup):
    base_url: str | None = Field(None, description="Base URL of Postmark's API or of the sandbox.")
    server_token: SecretStr | None = Field(None, description="Server token of Postmark.")
    message_stream: str = Field("broadcast", description="Message stream for campaigns.")
    transactional_stream: str = Field("outbound", description="Message stream for system mail.")
    sender: str = Field(
        "news@nudge.example",
        description="From address of system mail and, outside production, of campaigns without a sender.",
    )
    webhook_username: str = Field("postmark", description="HTTP Basic user name that Postmark's webhooks must send.")
    webhook_password: SecretStr | None = Field(
        None, description="HTTP Basic password that Postmark's webhooks must send."
    )
    messages_per_second: int = Field(
        0, ge=0, description="Maximum messages per second of the Postmark account; 0 for no limit."
    )
    timeout_seconds: float = Field(
        15.0, gt=0, description="Timeout of a request to Postmark, in seconds. At most half of the lease is used."
    )

    @property
    def webhook_credentials(self) -> str | None:
        """The Authorization header of Postmark's webhook requests."""
        password = self.webhook_password
        return None if password is None else basic_authorization(self.webhook_username, password.get_secret_value())
