"""Settings of the Postmark account, and of our webhook endpoint."""

from pydantic import Field, SecretStr

from core.configuration import Group
from core.redaction import basic


class PostmarkSettings(Group):
    base_url: str | None = Field(None, description="Postmark's API, or the sandbox.")
    server_token: SecretStr | None = Field(None, description="The server's token.")
    message_stream: str = Field("broadcast", description="The stream campaigns are sent on.")
    transactional_stream: str = Field("outbound", description="The stream system mail is sent on.")
    sender: str = Field(
        "news@nudge.example",
        description="The From address of system mail and, outside production, of campaigns without a sender.",
    )
    webhook_username: str = Field("postmark", description="HTTP Basic user of our webhook endpoint.")
    webhook_password: SecretStr | None = Field(None, description="HTTP Basic password of our webhook endpoint.")
    messages_per_second: int = Field(0, ge=0, description="Rate limit of the account; 0 means unlimited.")
    timeout_seconds: float = Field(15.0, gt=0, description="Total time of one request; well inside the lease.")

    @property
    def webhook_credentials(self) -> str | None:
        """The Authorization header of Postmark's webhook requests."""
        password = self.webhook_password
        return None if password is None else basic(self.webhook_username, password.get_secret_value())
