"""Settings of the API process: its address, and the limits of requests, documents and WebSocket connections."""

from pydantic import Field

from core.configuration import SettingsGroup
from core.setting_types import LongSecret, Port, PublicUrl


class ApiSettings(SettingsGroup):
    host: str = Field("127.0.0.1", description="Address on which the API listens.")
    port: Port = Field(8000, description="Port on which the API listens.")
    public_url: PublicUrl | None = Field(
        None, description="Public URL of the API, used in unsubscribe links. An https URL without a path."
    )
    body_limit_bytes: int = Field(1_048_576, ge=1024, description="Maximum size of a GraphQL request body in bytes.")
    body_timeout_seconds: float = Field(
        30.0, gt=0, description="Timeout for receiving a GraphQL request body, in seconds."
    )
    trusted_proxies: list[str] = Field(
        [], description="Addresses or networks of proxies whose X-Forwarded-For header is trusted (JSON)."
    )
    cors_origins: list[str] = Field(
        [],
        description='Origins of web pages that may call the API (JSON); `["*"]` allows all. Development allows all.',
    )


class GraphQLSettings(SettingsGroup):
    graphiql: bool = Field(True, description="Whether GET /graphql serves GraphiQL to browsers.")
    introspection: bool | None = Field(
        None,
        description=(
            "Whether anonymous callers may introspect the schema. Defaults to true in development, false in "
            "production."
        ),
    )
    max_depth: int = Field(12, ge=1, description="Maximum depth of a selection.")
    max_aliases: int = Field(30, ge=0, description="Maximum number of aliases in a document.")
    max_tokens: int = Field(2_000, ge=10, description="Maximum number of tokens in a document.")
    max_directives: int = Field(50, ge=0, description="Maximum number of directives in a document.")
    max_cost: int = Field(5_000, ge=1, description="Maximum cost of a single operation, in points.")
    cost_per_minute: int | None = Field(
        None,
        ge=1,
        description=(
            "Cost points of an organization per minute. Defaults to 60,000 in production, otherwise 100 million."
        ),
    )


class RealtimeSettings(SettingsGroup):
    init_timeout_seconds: float = Field(
        5.0, gt=0, description="Timeout for the `connection_init` message of a WebSocket, in seconds."
    )
    ping_seconds: float = Field(
        25.0, gt=0, description="Seconds between pings. A WebSocket is closed if two pings are not answered."
    )
    recheck_seconds: float = Field(
        60.0, gt=0, description="Seconds between rechecks of a connected user's session, role and membership."
    )
    send_timeout_seconds: float = Field(
        10.0, gt=0, description="Seconds that a WebSocket may take to receive a message before it is closed (1013)."
    )
    message_limit_bytes: int = Field(
        65_536, ge=1024, description="Maximum size of a WebSocket message from a client, in bytes."
    )
    unauthenticated: int = Field(
        500,
        ge=1,
        description="Maximum number of unauthenticated WebSockets of a process. Further ones are closed (1013).",
    )
    per_socket: int = Field(100, ge=1, description="Maximum number of operations on a WebSocket at once.")
    per_user: int = Field(
        500, ge=1, description="Maximum number of WebSockets of a user or (reserved) API key in a process."
    )
    per_organization: int = Field(
        5_000, ge=1, description="Maximum number of WebSockets of an organization in a process."
    )


class MetricsSettings(SettingsGroup):
    token: LongSecret | None = Field(
        None,
        description=(
            "Bearer token for GET /metrics. Without a token, /metrics is open in development and 404 in production."
        ),
    )
