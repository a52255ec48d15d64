"""GraphQL over a WebSocket (`graphql-transport-ws`): connections, their monitoring, and fan-out to subscribers."""

from transport.websocket.endpoint import WebSocketEndpoint

__all__ = ["WebSocketEndpoint"]
