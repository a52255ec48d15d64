"""A small HTTP client of the API for tests; it returns responses unchanged."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

import aiohttp
import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """A response to a GraphQL request."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        """The data of a response without errors."""
        assert "errors" not in self.body, self.body["errors"]
        data: dict[str, Any] = self.body["data"]
        return data

    @property
    def codes(self) -> list[str]:
        """The codes of the response's top-level errors."""
        return [error["extensions"]["code"] for error in self.body.get("errors", [])]


class ApiClient:
    """Sends GraphQL requests to a server, with an access token or without."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.token = token

    def as_(self, token: str | None) -> Self:
        """The same client for another caller."""
        return type(self)(self.url, token)

    async def execute(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """The data of an operation; top-level errors fail the test."""
        return (await self.send(query, variables)).data

    async def send(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        accept: str = "application/graphql-response+json",
    ) -> ApiResponse:
        """The response to an operation, errors included."""
        body = orjson.dumps({"query": query, "variables": variables or {}})
        return await self.post(body, {"accept": accept, **(headers or {})})

    async def post(self, body: bytes, headers: dict[str, str] | None = None) -> ApiResponse:
        """The response to any body, sent as JSON unless the headers name another type."""
        return await self.request("POST", headers={"content-type": "application/json", **(headers or {})}, data=body)

    async def request(
        self, method: str, *, headers: dict[str, str], data: bytes | None = None, params: dict[str, str] | None = None
    ) -> ApiResponse:
        """The response to any request."""
        sent = {"authorization": f"Bearer {self.token}"} if self.token else {}
        sent_body = BytesIO(data) if data is not None else None
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url, headers={**sent, **headers}, data=sent_body, params=params) as response,
        ):
            raw = await response.read()
            return ApiResponse(
                status=response.status,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=orjson.loads(raw) if "json" in response.content_type else {"text": raw.decode()},
            )
