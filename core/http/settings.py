"""Settings of the API process: its address, and the limits of requests, documents and websockets."""

from pydantic import Field

from core.configuration import Group
from core.setting_types import LongSecret, Port, PublicUrl


class ApiSettings(Group):
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: Port = Field(8000, description="Port the API listens on.")
    public_url: PublicUrl | None = Field(
        None, description="The https URL that recipients reach: unsubscribe links start with it. A host, no path."
    )
    body_limit_bytes: int = Field(1_048_576, ge=1024, description="The largest GraphQL request body.")
    body_timeout_seconds: float = Field(30.0, gt=0, description="Time for a GraphQL request body to come.")
    trusted_proxies: list[str] = Field(
        [], description="Addresses or networks of load balancers whose X-Forwarded-For is believed (JSON)."
    )
    cors_origins: list[str] = Field(
        [], description='Origins of web apps that may call the API (JSON); `["*"]` for any. Development allows any.'
    )


class GraphQLSettings(Group):
    graphiql: bool = Field(True, description="Whether GET /graphql shows GraphiQL to browsers.")
    introspection: bool | None = Field(
        None, description="Schema introspection for anonymous callers: on in development, off in production."
    )
    max_depth: int = Field(12, ge=1, description="The deepest selection.")
    max_aliases: int = Field(30, ge=0, description="Aliases in one document.")
    max_tokens: int = Field(2_000, ge=10, description="Tokens in one document.")
    max_directives: int = Field(50, ge=0, description="Directives in one document.")
    max_cost: int = Field(5_000, ge=1, description="The dearest single operation, in cost points.")
    cost_per_minute: int | None = Field(
        None, ge=1, description="Cost points of an organisation and minute: 60,000 in production, else 100 million."
    )


class RealtimeSettings(Group):
    init_timeout_seconds: float = Field(5.0, gt=0, description="Time for a socket's connection_init.")
    ping_seconds: float = Field(25.0, gt=0, description="Between pings; two missed pongs close the socket.")
    recheck_seconds: float = Field(60.0, gt=0, description="Between looks at role and membership.")
    send_timeout_seconds: float = Field(10.0, gt=0, description="A reader slower than this is closed (1013).")
    message_limit_bytes: int = Field(65_536, ge=1024, description="The largest message from a client.")
    unauthenticated: int = Field(
        500, ge=1, description="Sockets of a process that have not authenticated yet; more are closed (1013)."
    )
    per_socket: int = Field(100, ge=1, description="Subscriptions on one socket.")
    per_user: int = Field(500, ge=1, description="Sockets of one user.")
    per_organization: int = Field(5_000, ge=1, description="Sockets of one organisation and process.")


class MetricsSettings(Group):
    token: LongSecret | None = Field(
        None, description="Bearer token of GET /metrics; without one it is open in development, 404 in production."
    )
