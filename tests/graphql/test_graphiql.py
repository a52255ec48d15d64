"""The page that browsers get at `GET /graphql`."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from resolvers.endpoint import assets, graphiql
from resolvers.endpoint.assets import BY_NAME
from services.runtime import Runtime
from tests.client import ApiClient
from tests.graphql.probe import with_settings
from tests.serving import served

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
installed = all(asset.file.is_file() for asset in BY_NAME.values())


async def test_browsers_get_graphiql_under_a_strict_policy(api: ApiClient) -> None:
    """Every script of the page carries the nonce of this very answer, and nothing else may run."""
    reply = await api.request("GET", headers=BROWSER)
    page, policy = reply.body["text"], reply.headers["content-security-policy"]
    nonce = re.findall(r"script-src 'nonce-([\w-]+)'", policy)[0]
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.count(f'<script nonce="{nonce}"') == page.count("<script") == 5
    assert "default-src 'none'" in policy
    again = await api.request("GET", headers=BROWSER)
    assert nonce not in again.body["text"]


async def test_a_setting_switches_it_off(runtime: Runtime) -> None:
    """Without GraphiQL a browser's request is one without a query; a client of HTML alone gets 406."""
    async with served(with_settings(runtime, graphql={"graphiql": False})) as server:
        api = ApiClient(server.url)
        assert (await api.request("GET", headers=BROWSER)).status == 400
        assert (await api.request("GET", headers={"accept": "text/html"})).status == 406


def test_without_the_files_a_cdn_has_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installation without npm loads the same bytes, by the same hashes, from a CDN that the policy names."""
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    page, policy = graphiql.html("nonce"), graphiql.policy("nonce", "api.example:8000")
    for asset in BY_NAME.values():
        assert f'{assets.CDN}/npm/{asset.package}@{asset.version}/{asset.path}" integrity="sha384-' in page
    assert f"style-src 'self' 'unsafe-inline' {assets.CDN}" in policy
    assert "ws://api.example:8000" in policy
    assert "evil" not in graphiql.policy("nonce", "x; script-src evil")


@pytest.mark.skipif(not installed, reason="needs `npm ci` in web")
async def test_its_files_are_served_from_here(api: ApiClient) -> None:
    """Each file of the list is there with the hash that the page demands; no other file is."""
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
