"""The database's functions: one file each in `migrations/functions/`, which migrations load by name and digest.

The file has the current definition. A migration names the digest of the text that it loads, so that it always does
the same: when a file changes, the previous text is stored in `migrations/functions/superseded/` under its digest, for
the migrations that load it, and a new migration loads the new one (ADR 0024).
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from alembic import op
from sqlalchemy import AdaptedConnection, Connection

from core.errors import OperatorError

FOLDER = Path(__file__).parent / "functions"
SUPERSEDED = FOLDER / "superseded"


class FunctionChanged(OperatorError):
    """A file has another text than a migration loads; the message has the next step."""

    def __init__(self, name: str, digest: str, found: str | None) -> None:
        is_now = f"has the digest {found}" if found else "is missing"
        super().__init__(
            f"migrations/functions/{name}.sql {is_now}, and a migration loads {digest}: run "
            '`make migration name="..."`, which makes a new migration of the change and puts the text before into '
            f"migrations/functions/superseded/{name}.{digest}.sql. Where no release has the migration that loads it, "
            "write the new digest there instead (docs/database.md)."
        )
        self.name, self.digest = name, digest


def load(name: str, digest: str) -> None:
    """Create or replace the function, from the text with the digest.

    Raises `FunctionChanged` without such a text.
    """
    run(op.get_bind(), text_of(name, digest))


def text_of(name: str, digest: str) -> str:
    """The text of a function with the digest, current or superseded."""
    paths = (FOLDER / f"{name}.sql", SUPERSEDED / f"{name}.{digest}.sql")
    texts = [path.read_text(encoding="utf-8") for path in paths if path.exists()]
    for text in texts:
        if digest_of(text) == digest:
            return text
    raise FunctionChanged(name, digest, digest_of(texts[0]) if texts else None)


def digest_of(text: str) -> str:
    """A hash of twelve hexadecimal digits of the text, without the comments above its first statement."""
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if line and not line.startswith("--")), len(lines))
    return hashlib.sha256("\n".join(lines[first:]).encode()).hexdigest()[:12]


def current() -> dict[str, str]:
    """The digest of every function's file."""
    return {path.stem: digest_of(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.sql"))}


def run_files(paths: Iterable[Path]) -> None:
    """Run the statements of each file."""
    for path in paths:
        run(op.get_bind(), path.read_text(encoding="utf-8"))


def run(connection: Connection, script: str) -> None:
    """Run statements as they are, in the connection's transaction: any number, without parameters.

    Raises asyncpg's errors rather than SQLAlchemy's, which takes one statement at a time.
    """
    adapted = cast("AdaptedConnection", connection.connection.dbapi_connection)
    adapted.run_async(lambda driver: driver.execute(script))
