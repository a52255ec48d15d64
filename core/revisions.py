"""The revision of a database, compared with the migrations of this version.

Revisions start with a date, so later ones sort after earlier ones, and a revision after our newest was made by a
newer version. Before the foundation migration they were numbers (`0008`), which sort before all dates.
"""

from functools import lru_cache
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import UnsafeDatabase
from core.telemetry import logger

SCRIPTS = Path(__file__).parent.parent / "migrations"
HAS_VERSION_TABLE = text("SELECT to_regclass('public.alembic_version') IS NOT NULL")
VERSION = text("SELECT version_num FROM alembic_version")
log = logger(__name__)


async def check(engine: AsyncEngine, *, reset_advice: str | None) -> None:
    """Raise `UnsafeDatabase` for a database that this version cannot use.

    The database of a newer version is compatible with the version before (ADR 0019), so in production it only causes
    a warning. In development it is as likely to come from another branch.

    Args:
        engine: The database.
        reset_advice: How to get an empty database, for the message; None outside development.
    """
    current = await revision(engine)
    if current is None:
        raise UnsafeDatabase("Refusing to start: the database has not been migrated: run `nudge migrate`.")
    if is_unknown(current) and (reset_advice is not None or not is_newer(current)):
        raise UnsafeDatabase(unknown_revision(current, reset_advice=reset_advice))
    if is_newer(current):
        log.warning("the database was migrated by a newer version: update this one soon", revision=current)
    elif current != head():
        raise UnsafeDatabase(
            f"Refusing to start: the database is at revision {current}, this version needs {head()}: "
            "run `nudge migrate`."
        )


def unknown_revision(current: str, *, reset_advice: str | None) -> str:
    """The message for a database at an unknown revision, with what to do."""
    problem = f"The database is at revision {current}, which this version does not know (its newest is {head()})"
    if reset_advice is not None:
        return f"{problem}: another branch or an older version made it; to start over, {reset_advice}."
    if is_newer(current):
        return f"{problem}: a newer version of NudgeCampaign has migrated it; install that one."
    return (
        f"{problem}: no release made it, or one that this version cannot upgrade from; "
        "install the version that made it, or name another database."
    )


def is_unknown(current: str) -> bool:
    """Whether no migration of this version has the revision."""
    return current not in known()


def is_newer(current: str) -> bool:
    """Whether a newer version has made the revision."""
    return is_unknown(current) and current > head()


def is_older(current: str | None) -> bool:
    """Whether a database at the revision lacks migrations of this version; None is a database without any."""
    return current is None or (current != head() and not is_newer(current))


@lru_cache(maxsize=1)
def known() -> dict[str, bool]:
    """The revisions of our migrations, each with whether it is the newest."""
    scripts = ScriptDirectory(str(SCRIPTS))
    return {script.revision: script.is_head for script in scripts.walk_revisions()}


def head() -> str:
    """The newest revision of our migrations."""
    return next(revision for revision, is_newest in known().items() if is_newest)


async def revision(engine: AsyncEngine) -> str | None:
    """The database's revision; None if it has not been migrated, or if the role may not see it."""
    async with engine.connect() as connection:
        return await connection.run_sync(revision_of)


def revision_of(connection: Connection) -> str | None:
    """As `revision`, on an open connection."""
    if not connection.execute(HAS_VERSION_TABLE).scalar_one():
        return None
    current: str | None = connection.execute(VERSION).scalar_one_or_none()
    return current
