"""The page that browsers get at `GET /graphql`."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from graphql import parse, validate

from core.configuration import Environment
from development import DEMO_EMAIL, DEMO_PASSWORD
from resolvers import build_schema
from runtime import Runtime
from tests.client import ApiClient
from tests.graphql.nodejs import needs_node, run_node
from tests.graphql.probe import with_settings
from tests.serving import served
from transport.http import assets, graphiql
from transport.http.assets import BY_NAME

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
installed = all(asset.file.is_file() for asset in BY_NAME.values())


async def test_browsers_get_graphiql_under_a_strict_policy(api: ApiClient) -> None:
    """Every script of the page carries the nonce of this response, and no other script may run."""
    reply = await api.request("GET", headers=BROWSER)
    page, policy = reply.body["text"], reply.headers["content-security-policy"]
    nonce = re.findall(r"script-src 'nonce-([\w-]+)'", policy)[0]
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.count(f'<script nonce="{nonce}"') == page.count("<script") == 5
    assert "default-src 'none'" in policy
    again = await api.request("GET", headers=BROWSER)
    assert nonce not in again.body["text"]


async def test_a_setting_disables_it(runtime: Runtime) -> None:
    """Without GraphiQL a browser's request is one without a query; a client that accepts HTML alone gets 406."""
    async with served(with_settings(runtime, graphql={"graphiql": False})) as server:
        api = ApiClient(server.url)
        assert (await api.request("GET", headers=BROWSER)).status == 400
        assert (await api.request("GET", headers={"accept": "text/html"})).status == 406


def test_without_installed_files_a_cdn_serves_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without npm the page loads the same files, by the same hashes, from a CDN that the policy allows."""
    monkeypatch.setattr(assets, "_FOLDER", tmp_path)
    page, policy = graphiql.render("nonce"), graphiql.content_security_policy("nonce", "api.example:8000")
    for asset in BY_NAME.values():
        assert f'{assets.CDN}/npm/{asset.package}@{asset.version}/{asset.path}" integrity="sha384-' in page
    assert f"style-src 'self' 'unsafe-inline' {assets.CDN}" in policy
    assert "ws://api.example:8000" in policy
    assert "evil" not in graphiql.content_security_policy("nonce", "x; script-src evil")


@pytest.mark.skipif(not installed, reason="needs `npm ci` in web")
async def test_its_files_are_served_by_the_server(api: ApiClient) -> None:
    """Each listed file is served with the hash that the page requires; no other file is."""
    page = (await api.request("GET", headers=BROWSER)).body["text"]
    assert "https://" not in page
    for name, asset in BY_NAME.items():
        digest = base64.b64encode(hashlib.sha384(asset.file.read_bytes()).digest()).decode()
        assert asset.sha384 == digest
        assert f'/graphql/assets/{name}" integrity="sha384-{digest}"' in page
        reply = await ApiClient(f"{api.url}/assets/{name}").request("GET", headers={})
        assert reply.status == 200
    for name in ("package.json", "..%2Fpackage.json", "react.development.js"):
        assert (await ApiClient(f"{api.url}/assets/{name}").request("GET", headers={})).status == 404


async def test_hints_are_not_part_of_the_query(api: ApiClient) -> None:
    """They are outside the editor, where a stored query does not hide them after a reload, in lines that wrap."""
    page = (await api.request("GET", headers=BROWSER)).body["text"]
    hints = re.findall(r'<details id="hints" open>(.*?)</details>', page, re.DOTALL)[0]
    for word in ("LogIn", "accessToken", "Headers", "Viewer", "reload", "documentation"):
        assert word in hints
    query = re.findall(r"const defaultQuery = \[(.*?)\]", page, re.DOTALL)[0]
    lines = re.findall(r'^\s*"(.*)",?', query, re.MULTILINE)
    assert max(len(line) for line in lines) < 45


async def test_only_development_fills_in_the_demo_account(runtime: Runtime) -> None:
    """In development the demo account is in the first query; elsewhere a placeholder."""
    for environment, address in (("development", DEMO_EMAIL), ("test", "you@example.com")):
        settings = runtime.settings.model_copy(update={"environment": Environment(environment)})
        async with served(replace(runtime, settings=settings)) as server:
            page = (await ApiClient(server.url).request("GET", headers=BROWSER)).body["text"]
        assert (address in page, DEMO_PASSWORD in page) == (True, environment == "development")


def run_page_script(*arguments: str, demo: bool = True) -> dict[str, Any]:
    """The actions of the page's script in a browser."""
    result: dict[str, Any] = json.loads(
        run_node("graphiql.mjs", *arguments, stdin=graphiql.render("nonce", demo=demo))
    )
    return result


@needs_node
def test_the_page_starts_graphiql() -> None:
    """Its query is valid for the schema, and a changed token opens another connection."""
    page = run_page_script("nothing")
    assert (page["rendered"], page["notice"], page["terminated"]) == (True, "", 2)
    assert page["params"] == {"authorization": "b"}
    schema = build_schema()._schema
    for demo in (True, False):
        assert validate(schema, parse(run_page_script("nothing", demo=demo)["query"])) == []


@needs_node
@pytest.mark.parametrize("scripts", [["graphqlWs"], ["GraphiQL"], ["React", "ReactDOM", "graphqlWs", "GraphiQL"]])
def test_the_page_names_missing_files(scripts: list[str]) -> None:
    """With what to do about it, instead of showing the loading text for ever."""
    page = run_page_script("missing", *scripts)
    assert not page["rendered"]
    for name in scripts:
        package = {"graphqlWs": "graphql-ws", "ReactDOM": "react-dom"}.get(name, name.lower())
        assert package in page["notice"]
    assert "npm ci" in page["notice"]


@needs_node
@pytest.mark.parametrize(
    ("code", "reason", "message", "retries"),
    [
        ("4401", "The access token is not valid.", "(4401): The access token is not valid. Run LogIn", True),
        ("4403", "The access token has expired", "(4403): The access token has expired. Run LogIn", False),
        ("1013", "Too slow", "closed (1013): Too slow.", True),
        ("1000", "", "", True),
        ("4499", "Terminated", "", True),
    ],
)
def test_the_page_shows_why_a_subscription_ended(code: str, reason: str, message: str, *, retries: bool) -> None:
    """And does not reconnect with an expired token."""
    page = run_page_script("closed", code, reason)
    assert (message in page["notice"], bool(page["notice"])) == (True, bool(message))
    assert page["retries"] is retries
