"""Requests to an API with planted values in every place of them."""

import base64

import aiohttp

from tests.graphql.sockets import PROTOCOL, Socket
from tests.logs.planting import Planted

CREATE = """mutation ($email: EmailAddress!, $name: String) {
  createContact(input: {email: $email, firstName: $name}) { contact { id } }
}"""


LOG_IN = """mutation ($email: EmailAddress!, $password: String!) {
  logIn(input: {email: $email, password: $password}) { expiresIn }
}"""


class Client:
    """Asks an API, with planted values in every place of a request."""

    def __init__(self, session: aiohttp.ClientSession, base: str, planted: Planted, token: str) -> None:
        self.session = session
        self.base = base
        self.planted = planted
        self.token = token

    @property
    def headers(self) -> dict[str, str]:
        """Planted headers."""
        planted = self.planted
        return {
            "authorization": f"Bearer {self.token}",
            "cookie": f"session={planted.cookie}",
            "x-api-key": planted.header,
            "user-agent": planted.header,
        }

    async def ask(self, query: str, **variables: str) -> int:
        """Send a GraphQL request; the status."""
        body = {"query": query, "variables": variables}
        async with self.session.post(f"{self.base}/graphql", json=body, headers=self.headers) as response:
            await response.read()
            return response.status

    async def webhook(self, **more: str) -> int:
        """Post an event; the status."""
        credentials = base64.b64encode(f"postmark:{self.planted.webhook_password}".encode()).decode()
        event = {"RecordType": "Delivery", "MessageID": self.planted.payload, "Recipient": self.planted.address}
        headers = self.headers | {"authorization": f"Basic {credentials}"}
        url = f"{self.base}/webhooks/postmark"
        async with self.session.post(url, json=event | more, headers=headers) as response:
            return response.status

    async def get(self, path: str) -> int:
        """Get a page; the status."""
        async with self.session.get(f"{self.base}{path}", headers=self.headers) as response:
            return response.status

    async def post(self, path: str, body: bytes) -> int:
        """Post whatever; the status."""
        headers = self.headers | {"content-type": "application/json"}
        async with self.session.post(f"{self.base}{path}", data=body, headers=headers) as response:
            return response.status

    async def answers(self) -> bool:
        """Whether the API can serve."""
        try:
            return await self.get("/readyz") == 200
        except aiohttp.ClientError:
            return False


def fresh_connections() -> aiohttp.ClientSession:
    """A session with a connection for each request: after an error the server closes it, perhaps in mid-request."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


async def misuse(client: Client) -> None:
    """Requests that are refused, and requests that run into a bug."""
    planted = client.planted
    assert await client.ask(CREATE, email=planted.address, name=planted.body) == 200
    assert await client.ask(LOG_IN, email=planted.address, password=planted.password) == 200
    assert await client.ask(f"{{ {planted.body} }}") in {200, 400}
    assert await client.ask(CREATE, email=planted.body) in {200, 400}
    assert await client.post("/graphql", f'{{"query": {planted.body}'.encode()) == 400
    assert await client.post("/webhooks/postmark", planted.payload.encode()) == 401
    assert await client.webhook(bug="yes", Details=planted.payload) == 500
    assert await client.webhook(Details=planted.payload) == 200
    assert await client.get(f"/u/bug-{planted.token}") == 500
    assert await client.get(f"/u/{planted.token}") == 404
    assert await client.get(f"/metrics?token={planted.metrics_token}") == 401


async def misuse_socket(client: Client) -> None:
    """The same over a websocket; the last message is none."""
    planted = client.planted
    url = client.base.replace("http://", "ws://") + "/graphql"
    socket = Socket(await client.session.ws_connect(url, protocols=[PROTOCOL], headers=client.headers))
    await socket.ready(client.token)
    await socket.subscribe(CREATE, variables={"email": planted.address, "name": planted.body})
    assert (await socket.next())["payload"]["errors"][0]["extensions"]["code"] == "INTERNAL"
    await socket.raw.send_str(planted.body)
    await socket.closed()
    other = Socket(await client.session.ws_connect(url, protocols=[PROTOCOL], headers=client.headers))
    await other.init(planted.token)
    await other.closed()
