"""`nudge demo`: the main features over the public API: log in, send a campaign, follow it, ask Maya."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession, ReconnectingAsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportError
from gql.transport.websockets import WebsocketsTransport
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from local.folder import LocalError, read_servers

AUDIENCE_TAG = "newsletter"
HTML = """<h1>Hello {{ contact.firstName | default: "there" }}</h1>
<p>This campaign went out live, and you can follow each of its messages.</p>"""

LOG_IN = """
mutation LogIn($input: LogInInput!) {
  logIn(input: $input) { accessToken viewer { fullName organization { name } } userErrors { message suggestion } }
}"""
CREATE = """
mutation Create($input: CreateCampaignInput!) {
  createCampaign(input: $input) { campaign { id name } userErrors { message suggestion } }
}"""
SEND = """
mutation Send($input: SendCampaignInput!) {
  sendCampaign(input: $input) { campaign { id status } userErrors { message suggestion } }
}"""
PROGRESS = """
subscription Progress($id: ID!) {
  campaignProgress(campaignId: $id) {
    sequence status audience pending inFlight accepted delivered bounced rejected skipped failed unknown
    percent ratePerSecond
  }
}"""
START = """
mutation { startConversation(input: {}) { conversation { id } userErrors { message suggestion } } }"""
ASK = """
mutation Ask($input: SendMayaMessageInput!) {
  sendMayaMessage(input: $input) { reply { id } userErrors { message suggestion } }
}"""
REPLY = """
subscription Reply($id: ID!) {
  mayaReply(messageId: $id) {
    __typename
    ... on MayaToken { text }
    ... on MayaToolStarted { name }
    ... on MayaReplyFailed { code reason }
  }
}"""

Session = AsyncClientSession | ReconnectingAsyncClientSession


def api_url(home: Path, chosen: str | None) -> str:
    """The URL of the `nudge dev` that runs on this data folder; without one, `chosen`, from the settings.

    Raises `LocalError` if there is neither: another copy's API may listen on the default port.
    """
    running = (read_servers(home) or {}).get("api_url")
    if running is None and chosen is None:
        raise LocalError(
            f"no `nudge dev` is running on {home.resolve()}: start it in another terminal, in this folder"
        )
    return running or chosen or ""


async def run(url: str, email: str, password: str, question: str) -> int:
    """Run the demonstration against the API at `url`; returns the exit code, 0 if all steps succeeded."""
    console = Console()
    try:
        async with AsyncExitStack() as stack:
            anonymous = await stack.enter_async_context(Client(transport=AIOHTTPTransport(url=url)))
            entry = await mutate(anonymous, LOG_IN, "logIn", {"email": email, "password": password})
            viewer = entry["viewer"]
            console.print(f"Logged in as {viewer['fullName']} of {viewer['organization']['name']}.")
            live = WebsocketsTransport(
                url=url.replace("http", "ws", 1),
                init_payload={"authorization": f"Bearer {entry['accessToken']}"},
                subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
            )
            session = await stack.enter_async_context(Client(transport=live))
            await send_campaign(session, console)
            return 0 if await ask_maya(session, console, question) else 1
    except (TransportError, OSError) as error:
        raise LocalError(f"the API at {url} did not answer as expected: {error}. Is `nudge dev` running?") from error


async def send_campaign(session: Session, console: Console) -> None:
    """Create a campaign, send it, and draw its progress until it has ended."""
    created = await mutate(
        session,
        CREATE,
        "createCampaign",
        {
            "name": "Live from the terminal",
            "subject": 'News for {{ contact.firstName | default: "you" }}',
            "htmlContent": HTML,
            "audience": {"tags": [AUDIENCE_TAG]},
        },
    )
    campaign = created["campaign"]
    await mutate(session, SEND, "sendCampaign", {"campaignId": campaign["id"], "idempotencyKey": campaign["id"]})
    console.print(f"Sending “{campaign['name']}” to all contacts with the tag {AUDIENCE_TAG}:")
    last: dict[str, Any] = {}
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("preparing", total=None)
        async for last in subscribe(session, PROGRESS, "campaignProgress", campaign["id"]):
            settled = last["audience"] - last["pending"] - last["inFlight"] - last["unknown"]
            progress.update(
                bar, description=last["status"].lower(), total=last["audience"] or None, completed=settled
            )
    sent = last["accepted"] + last["delivered"] + last["bounced"]
    console.print(f"{last['status']}: {sent} submitted, {last['skipped']} skipped, {last['failed']} failed.")


async def ask_maya(session: Session, console: Console, question: str) -> bool:
    """Ask Maya and print the tokens of her reply; returns whether it was completed."""
    started = await mutate(session, START, "startConversation")
    sent = await mutate(
        session, ASK, "sendMayaMessage", {"conversationId": started["conversation"]["id"], "text": question}
    )
    console.print(f"\n[bold]You:[/bold] {question}\n[bold]Maya:[/bold] ", end="")
    answered = False
    async for event in subscribe(session, REPLY, "mayaReply", sent["reply"]["id"]):
        match event["__typename"]:
            case "MayaToken":
                console.out(event["text"], end="", highlight=False)
            case "MayaToolStarted":
                console.print(f"[dim](calls {event['name']})[/dim] ", end="")
            case "MayaReplyFailed":
                console.print(f"[red]{event['code']}: {event['reason']}[/red]", end="")
            case "MayaReplyCompleted":
                answered = True
    console.print()
    return answered


async def mutate(session: Session, document: str, field: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """The payload of a mutation. Raises `LocalError` with its first user error, if any."""
    request = GraphQLRequest(document, variable_values={"input": values} if values is not None else None)
    payload: dict[str, Any] = (await session.execute(request))[field]
    for error in payload["userErrors"]:
        raise LocalError(f"{field}: {error['message']} {error['suggestion'] or ''}")
    return payload


async def subscribe(session: Session, document: str, field: str, node_id: str) -> AsyncIterator[dict[str, Any]]:
    """The values of a subscription, until the server completes it."""
    async for result in session.subscribe(GraphQLRequest(document, variable_values={"id": node_id})):
        yield result[field]
