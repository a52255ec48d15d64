"""GraphQL over HTTP, and the GraphiQL page."""

from transport.http.endpoint import HttpEndpoint

__all__ = ["HttpEndpoint"]
