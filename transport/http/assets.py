"""GraphiQL's own files: from `web/node_modules` when installed there, else from a public CDN, checked by hash."""

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

_FOLDER = Path(__file__).parents[2] / "web" / "node_modules"
CDN = "https://cdn.jsdelivr.net"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file of an npm package, at the version in `web/package-lock.json`."""

    package: str
    version: str
    path: str
    sha384: str

    @property
    def name(self) -> str:
        """The file's name in our URLs."""
        return self.path.rpartition("/")[2]

    @property
    def file(self) -> Path:
        """The path where `npm ci` installs it."""
        return _FOLDER / self.package / self.path

    @property
    def url(self) -> str:
        """The URL for browsers: on this server, or on the CDN when the file is not installed."""
        if self.file.is_file():
            return f"/graphql/assets/{self.name}"
        return f"{CDN}/npm/{self.package}@{self.version}/{self.path}"


STYLE = Asset(
    package="graphiql",
    version="3.9.0",
    path="graphiql.min.css",
    sha384="QMux00XgRtwRLSYIY3kw2rj1ovk5AuuliAchk+HSQbqdbGFnz9GYuqIlOqxhwCE2",
)
SCRIPTS = (
    Asset(
        package="react",
        version="18.3.1",
        path="umd/react.production.min.js",
        sha384="DGyLxAyjq0f9SPpVevD6IgztCFlnMF6oW/XQGmfe+IsZ8TqEiDrcHkMLKI6fiB/Z",
    ),
    Asset(
        package="react-dom",
        version="18.3.1",
        path="umd/react-dom.production.min.js",
        sha384="gTGxhz21lVGYNMcdJOyq01Edg0jhn/c22nsx0kyqP0TxaV5WVdsSH1fSDUf5YJj1",
    ),
    Asset(
        package="graphql-ws",
        version="5.16.2",
        path="umd/graphql-ws.min.js",
        sha384="+EVxFEOpy8LWPRQcpntm0FKN2O+BzrMNSL0G3HIgVWFmeb6xqZqjuLivrQUTXZKi",
    ),
    Asset(
        package="graphiql",
        version="3.9.0",
        path="graphiql.min.js",
        sha384="8NGfVj4CVlqHajlZj+bPJT4thxPMHMJYn7DWK2CvtopLd02E7qsPHazniBYvVjOO",
    ),
)
BY_NAME = {asset.name: asset for asset in (STYLE, *SCRIPTS)}


async def serve_asset(request: Request) -> Response:
    """Serve one of the files listed above; 404 for any other name."""
    asset = BY_NAME.get(request.path_params["name"])
    if asset is None or not asset.file.is_file():
        return PlainTextResponse("No such file.\n", status_code=404)
    return FileResponse(asset.file, headers={"cache-control": "public, max-age=86400"})
