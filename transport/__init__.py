"""The GraphQL endpoint: HTTP, the websocket, GraphiQL, and the limits that all of them share."""

from transport.door import PATH, Door, graphql_routes

__all__ = ["PATH", "Door", "graphql_routes"]
