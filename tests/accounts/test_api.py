"""Signing up, logging in and out over the API."""

import asyncio
import re
from typing import Any
from uuid import uuid4

import pytest

from core.access.permissions import Role
from runtime import Runtime
from tests import factories
from tests.client import ApiClient

SIGN_UP = """
mutation ($input: SignUpInput!) { signUp(input: $input) {
    accessToken refreshToken expiresIn viewer { id email fullName role permissions organization { id name slug } }
    userErrors { code field message suggestion } } }
"""
LOG_IN = """
mutation ($input: LogInInput!) { logIn(input: $input) {
    accessToken refreshToken expiresIn viewer { id } userErrors { code field } } }
"""
REFRESH = """
mutation ($input: RefreshSessionInput!) { refreshSession(input: $input) {
    accessToken refreshToken viewer { id } userErrors { code field } } }
"""
LOG_OUT = "mutation ($input: LogOutInput!) { logOut(input: $input) { ended userErrors { code } } }"
PASSWORD = "correct horse"
VIEWER = "{ viewer { id email role } }"


def address() -> str:
    """A fresh address."""
    return f"Person-{uuid4().hex}@Nudge.Example"


async def sign_up(api: ApiClient, email: str | None = None, password: str = PASSWORD) -> dict[str, Any]:
    """The payload of a successful sign-up."""
    values = {
        "organizationName": "Acme & Söhne",
        "email": email or address(),
        "password": password,
        "fullName": "Ada Lovelace",
    }
    payload = (await api.execute(SIGN_UP, {"input": values}))["signUp"]
    assert payload["userErrors"] == []
    return dict(payload)


async def test_sign_up_opens_an_organization_and_logs_its_owner_in(api: ApiClient) -> None:
    """The payload contains tokens that are valid immediately, and the owner with every permission."""
    email = address()
    payload = await sign_up(api, email)
    viewer = payload["viewer"]
    assert viewer["email"].lower() == email.lower()
    assert viewer["role"] == "OWNER"
    assert "campaign:send" in viewer["permissions"]
    assert viewer["organization"]["name"] == "Acme & Söhne"
    assert re.fullmatch(r"acme-sohne-[0-9a-f]{10}", viewer["organization"]["slug"])
    assert payload["expiresIn"] == 900
    data = await api.as_(payload["accessToken"]).execute(VIEWER)
    assert data["viewer"]["id"] == viewer["id"]


async def test_sign_up_reports_all_errors_at_once(api: ApiClient) -> None:
    """Each invalid field has its error, and nothing is stored."""
    values = {"organizationName": " ", "email": "nobody", "password": "short", "fullName": "A\x00da"}
    payload = (await api.execute(SIGN_UP, {"input": values}))["signUp"]
    assert payload["accessToken"] is None
    assert {(error["code"], error["field"][1]) for error in payload["userErrors"]} == {
        ("REQUIRED", "organizationName"),
        ("INVALID_EMAIL", "email"),
        ("INVALID", "password"),
        ("INVALID", "fullName"),
    }


@pytest.mark.parametrize("password", ["x" * 129, "seven77", "same@nudge.example", " " * 8])
async def test_passwords_have_bounds(api: ApiClient, password: str) -> None:
    """Too long, too short, or the address itself: each is refused."""
    values = {
        "organizationName": "Acme",
        "email": "same@nudge.example",
        "password": password,
        "fullName": "Ada",
    }
    payload = (await api.execute(SIGN_UP, {"input": values}))["signUp"]
    assert [error["field"] for error in payload["userErrors"]] == [["input", "password"]]


@pytest.mark.parametrize("name", ["\u200b", "\u202eemcA", "\u2060 \ufeff", "A\nB"])
async def test_names_are_visible_single_line_text(api: ApiClient, name: str) -> None:
    """Invisible names, line breaks and characters that change the text direction are refused."""
    values = {"organizationName": name, "email": address(), "password": PASSWORD, "fullName": name}
    payload = (await api.execute(SIGN_UP, {"input": values}))["signUp"]
    assert [error["field"][1] for error in payload["userErrors"]] == ["organizationName", "fullName"]


async def test_an_address_signs_up_once_whatever_its_case(api: ApiClient) -> None:
    """The second sign-up is refused as TAKEN, and leaves no organization behind."""
    email = address()
    await sign_up(api, email)
    values = {"organizationName": "Two", "email": email.upper(), "password": "correct horse", "fullName": "Eve"}
    payload = (await api.execute(SIGN_UP, {"input": values}))["signUp"]
    assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [("TAKEN", ["input", "email"])]


async def test_log_in_takes_the_right_password(api: ApiClient) -> None:
    """The right password logs in; a wrong one and an unknown address get the same response."""
    email = address()
    await sign_up(api, email)
    payload = (await api.execute(LOG_IN, {"input": {"email": email, "password": "correct horse"}}))["logIn"]
    assert (await api.as_(payload["accessToken"]).execute(VIEWER))["viewer"]["email"].lower() == email.lower()
    wrong = await api.execute(LOG_IN, {"input": {"email": email, "password": "wrong horse"}})
    unknown = await api.execute(LOG_IN, {"input": {"email": address(), "password": "wrong horse"}})
    assert wrong == unknown
    assert wrong["logIn"]["userErrors"] == [{"code": "INVALID_CREDENTIALS", "field": None}]


async def test_too_many_failures_lock_the_address_for_this_client(api: ApiClient, runtime: Runtime) -> None:
    """After ten failures the response is RATE_LIMITED, also for the right password; other users can still log in."""
    email = address()
    await sign_up(api, email)
    for _ in range(runtime.settings.auth.failed_logins):
        await api.execute(LOG_IN, {"input": {"email": email, "password": "wrong horse"}})
    reply = await api.send(LOG_IN, {"input": {"email": email, "password": "correct horse"}})
    assert reply.codes == ["RATE_LIMITED"]
    assert reply.body["errors"][0]["extensions"]["retryAfter"] > 0
    await sign_up(api)


async def test_simultaneous_guesses_are_limited(api: ApiClient, runtime: Runtime) -> None:
    """Of forty concurrent wrong passwords ten are checked; the others are RATE_LIMITED."""
    email = address()
    guesses = (api.send(LOG_IN, {"input": {"email": email, "password": f"guess {n}"}}) for n in range(40))
    codes = [reply.codes for reply in await asyncio.gather(*guesses)]
    assert codes.count(["RATE_LIMITED"]) == 40 - runtime.settings.auth.failed_logins
    assert codes.count([]) == runtime.settings.auth.failed_logins


async def test_addresses_are_normalized_at_sign_up_and_log_in(api: ApiClient) -> None:
    """An international domain can be written in Unicode or punycode, in upper or lower case."""
    name = uuid4().hex
    await sign_up(api, f"{name}@bücher.example")
    for email in (f"{name}@bücher.example", f" {name.upper()}@BÜCHER.example", f"{name}@xn--bcher-kva.example"):
        payload = (await api.execute(LOG_IN, {"input": {"email": email, "password": PASSWORD}}))["logIn"]
        assert (payload["userErrors"], payload["accessToken"] is None) == ([], False)


@pytest.mark.parametrize("email", ["", "a\x00b@nudge.example", "nobody", "x" * 10_000, "a@b@c"])
async def test_an_invalid_address_cannot_log_in(api: ApiClient, email: str) -> None:
    """The response is the same as for a wrong password."""
    payload = (await api.execute(LOG_IN, {"input": {"email": email, "password": PASSWORD}}))["logIn"]
    assert payload["userErrors"] == [{"code": "INVALID_CREDENTIALS", "field": None}]


async def test_refresh_rotates_and_the_new_pair_works(api: ApiClient) -> None:
    """Each refresh gives a new refresh token, which works in turn."""
    token = (await sign_up(api))["refreshToken"]
    for _ in range(3):
        payload = (await api.execute(REFRESH, {"input": {"refreshToken": token}}))["refreshSession"]
        assert payload["refreshToken"] not in {None, token}
        token = payload["refreshToken"]
        assert (await api.as_(payload["accessToken"]).execute(VIEWER))["viewer"] is not None


async def test_a_reused_refresh_token_ends_the_whole_session(api: ApiClient) -> None:
    """A token that is used twice was copied: its successor and the access tokens stop working too."""
    first = await sign_up(api)
    second = (await api.execute(REFRESH, {"input": {"refreshToken": first["refreshToken"]}}))["refreshSession"]
    caller = api.as_(second["accessToken"])
    assert (await caller.send(VIEWER)).codes == []  # the process has cached the session from now on
    again = (await api.execute(REFRESH, {"input": {"refreshToken": first["refreshToken"]}}))["refreshSession"]
    assert [error["code"] for error in again["userErrors"]] == ["INVALID_CREDENTIALS"]
    assert again["accessToken"] is None
    successor = (await api.execute(REFRESH, {"input": {"refreshToken": second["refreshToken"]}}))["refreshSession"]
    assert [error["code"] for error in successor["userErrors"]] == ["INVALID_CREDENTIALS"]
    assert (await caller.send(VIEWER)).codes == ["UNAUTHENTICATED"]


async def test_two_concurrent_refreshes_end_the_session(api: ApiClient) -> None:
    """One of the two gets a new token, which does not work any more."""
    token = (await sign_up(api))["refreshToken"]
    answers = await asyncio.gather(*(api.execute(REFRESH, {"input": {"refreshToken": token}}) for _ in range(2)))
    fresh = [answer["refreshSession"]["refreshToken"] for answer in answers]
    assert sorted(token is None for token in fresh) == [False, True]
    survivor = next(token for token in fresh if token is not None)
    after = (await api.execute(REFRESH, {"input": {"refreshToken": survivor}}))["refreshSession"]
    assert after["refreshToken"] is None


async def test_log_out_ends_the_session_at_once(api: ApiClient) -> None:
    """Neither token works any more, and a second log-out returns `ended: false`."""
    payload = await sign_up(api)
    caller = api.as_(payload["accessToken"])
    assert (await caller.execute(LOG_OUT, {"input": {}}))["logOut"] == {"ended": True, "userErrors": []}
    assert (await caller.send(VIEWER)).codes == ["UNAUTHENTICATED"]
    refresh = (await api.execute(REFRESH, {"input": {"refreshToken": payload["refreshToken"]}}))["refreshSession"]
    assert refresh["accessToken"] is None
    again = await api.execute(LOG_OUT, {"input": {"refreshToken": payload["refreshToken"]}})
    assert again["logOut"]["ended"] is False


async def test_viewer_is_null_without_a_token_and_an_error_with_a_bad_one(api: ApiClient) -> None:
    """A request without a token is anonymous; one with an invalid token is UNAUTHENTICATED."""
    assert await api.execute(VIEWER) == {"viewer": None}
    reply = await api.as_("nonsense").send(VIEWER)
    assert reply.codes == ["UNAUTHENTICATED"]
    assert reply.body["errors"][0]["message"] == "The access token is not valid."
    assert reply.body["data"] == {"viewer": None}


async def test_a_client_can_refresh_while_it_sends_an_expired_token(api: ApiClient) -> None:
    """`refreshSession` ignores the access token of the request."""
    payload = await sign_up(api)
    stale = api.as_("expired.or.worse")
    refreshed = await stale.execute(REFRESH, {"input": {"refreshToken": payload["refreshToken"]}})
    assert refreshed["refreshSession"]["accessToken"] is not None


async def test_node_finds_the_viewer_and_no_user_of_another_organization(api: ApiClient, runtime: Runtime) -> None:
    """`node(id)` reads the members and the organization of the caller, and no others."""
    mine, theirs = await sign_up(api), await sign_up(api)
    caller = api.as_(mine["accessToken"])
    query = "query ($id: ID!) { node(id: $id) { __typename id } }"
    for node in (mine["viewer"], mine["viewer"]["organization"]):
        assert (await caller.execute(query, {"id": node["id"]}))["node"]["id"] == node["id"]
    for node in (theirs["viewer"], theirs["viewer"]["organization"]):
        assert (await caller.execute(query, {"id": node["id"]}))["node"] is None
    viewer = await factories.organization(runtime, role=Role.VIEWER)
    data = await api.as_(factories.token(runtime, viewer)).execute("{ viewer { role permissions } }")
    assert data["viewer"]["role"] == "VIEWER"
    assert "campaign:send" not in data["viewer"]["permissions"]
