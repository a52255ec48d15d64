"""Requests to an API with markers in every header, variable and body."""

import base64

import aiohttp

from tests.graphql.sockets import PROTOCOL, Socket
from tests.logs.markers import Markers

CREATE = """mutation ($email: EmailAddress!, $name: String) {
  createContact(input: {email: $email, firstName: $name}) { contact { id } }
}"""


LOG_IN = """mutation ($email: EmailAddress!, $password: String!) {
  logIn(input: {email: $email, password: $password}) { expiresIn }
}"""


class Client:
    """Sends requests with markers in every header, variable and body."""

    def __init__(self, session: aiohttp.ClientSession, base: str, markers: Markers, token: str) -> None:
        self.session = session
        self.base = base
        self.markers = markers
        self.token = token

    @property
    def headers(self) -> dict[str, str]:
        """Headers with markers."""
        markers = self.markers
        return {
            "authorization": f"Bearer {self.token}",
            "cookie": f"session={markers.cookie}",
            "x-api-key": markers.header,
            "user-agent": markers.header,
        }

    async def execute(self, query: str, **variables: str) -> int:
        """Send a GraphQL request; returns the status."""
        body = {"query": query, "variables": variables}
        async with self.session.post(f"{self.base}/graphql", json=body, headers=self.headers) as response:
            await response.read()
            return response.status

    async def webhook(self, **more: str) -> int:
        """Post an event; returns the status."""
        credentials = base64.b64encode(f"postmark:{self.markers.webhook_password}".encode()).decode()
        event = {"RecordType": "Delivery", "MessageID": self.markers.payload, "Recipient": self.markers.address}
        headers = self.headers | {"authorization": f"Basic {credentials}"}
        url = f"{self.base}/webhooks/postmark"
        async with self.session.post(url, json=event | more, headers=headers) as response:
            return response.status

    async def get(self, path: str) -> int:
        """Get a page; returns the status."""
        async with self.session.get(f"{self.base}{path}", headers=self.headers) as response:
            return response.status

    async def post(self, path: str, body: bytes) -> int:
        """Post any body as JSON; returns the status."""
        headers = self.headers | {"content-type": "application/json"}
        async with self.session.post(f"{self.base}{path}", data=body, headers=headers) as response:
            return response.status

    async def is_ready(self) -> bool:
        """Whether the API reports that it is ready."""
        try:
            return await self.get("/readyz") == 200
        except aiohttp.ClientError:
            return False


def fresh_connections() -> aiohttp.ClientSession:
    """A session that opens a connection for each request, because the server may close one after an error."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


async def send_failing_requests(client: Client) -> None:
    """Send requests that are refused, and requests that run into an injected bug."""
    markers = client.markers
    assert await client.execute(CREATE, email=markers.address, name=markers.body) == 200
    assert await client.execute(LOG_IN, email=markers.address, password=markers.password) == 200
    assert await client.execute(f"{{ {markers.body} }}") in {200, 400}
    assert await client.execute(CREATE, email=markers.body) in {200, 400}
    assert await client.post("/graphql", f'{{"query": {markers.body}'.encode()) == 400
    assert await client.post("/webhooks/postmark", markers.payload.encode()) == 401
    assert await client.webhook(bug="yes", Details=markers.payload) == 500
    assert await client.webhook(Details=markers.payload) == 200
    assert await client.get(f"/u/bug-{markers.token}") == 500
    assert await client.get(f"/u/{markers.token}") == 404
    assert await client.get(f"/metrics?token={markers.metrics_token}") == 401


async def send_failing_messages(client: Client) -> None:
    """Send the same over a WebSocket, an invalid message and an invalid token included."""
    markers = client.markers
    url = client.base.replace("http://", "ws://") + "/graphql"
    socket = Socket(await client.session.ws_connect(url, protocols=[PROTOCOL], headers=client.headers))
    await socket.ready(client.token)
    await socket.subscribe(CREATE, variables={"email": markers.address, "name": markers.body})
    assert (await socket.next())["payload"]["errors"][0]["extensions"]["code"] == "INTERNAL"
    await socket.raw.send_str(markers.body)
    await socket.closed()
    other = Socket(await client.session.ws_connect(url, protocols=[PROTOCOL], headers=client.headers))
    await other.init(markers.token)
    await other.closed()
