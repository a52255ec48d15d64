"""The GraphQL endpoint: HTTP, the WebSocket, GraphiQL, and the limits that all of them share."""

from transport.endpoint import PATH, Endpoint, graphql_routes

__all__ = ["PATH", "Endpoint", "graphql_routes"]
