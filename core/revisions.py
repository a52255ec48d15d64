"""The revision that a database is at, against those that this version knows.

Revisions begin with their date, so that of two the later is the greater, and one that is greater than our newest was
made by a newer version. Before the foundation they were numbers (`0008`): those sort before it.
"""

from functools import lru_cache
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import UnsafeDatabase
from core.telemetry import logger

SCRIPTS = Path(__file__).parent.parent / "migrations"
VERSIONED = text("SELECT to_regclass('public.alembic_version') IS NOT NULL")
VERSION = text("SELECT version_num FROM alembic_version")
log = logger(__name__)


async def check(engine: AsyncEngine, *, reset_advice: str | None) -> None:
    """Raise `UnsafeDatabase` for a database that this version cannot serve from.

    A newer version's database is compatible with the version before (ADR 0019), so in production it only gets a
    warning. In development it is as likely to be another branch's.

    Args:
        engine: The database.
        reset_advice: How a developer gets an empty database; None outside of development.
    """
    found = await revision(engine)
    if found is None:
        raise UnsafeDatabase("Refusing to start: the database was never migrated: run `nudge migrate`.")
    if is_unknown(found) and (reset_advice is not None or not is_newer(found)):
        raise UnsafeDatabase(unknown(found, reset_advice=reset_advice))
    if is_newer(found):
        log.warning("the database was migrated by a newer version: update this one soon", revision=found)
    elif found != head():
        raise UnsafeDatabase(
            f"Refusing to start: the database is at revision {found}, this version needs {head()}: "
            "run `nudge migrate`."
        )


def unknown(found: str, *, reset_advice: str | None) -> str:
    """What is the matter with a database at a revision that is none of ours, and what to do, in one sentence."""
    said = f"The database is at revision {found}, which this version does not know (its newest is {head()})"
    if reset_advice is not None:
        return f"{said}: another branch or an older version made it; to start afresh, {reset_advice}."
    if is_newer(found):
        return f"{said}: a newer version of NudgeCampaign has migrated it; install that one."
    return (
        f"{said}: no release made it, or one that this version cannot upgrade from; "
        "install the version that made it, or name another database."
    )


def is_unknown(found: str) -> bool:
    """Whether the revision is none of ours."""
    return found not in known()


def is_newer(found: str) -> bool:
    """Whether a version after this one made the revision."""
    return is_unknown(found) and found > head()


def is_older(found: str | None) -> bool:
    """Whether a database at the revision lacks what this version needs; None for one that was never migrated."""
    return found is None or (found != head() and not is_newer(found))


@lru_cache(maxsize=1)
def known() -> dict[str, bool]:
    """Every revision of our migrations; whether it is the newest."""
    scripts = ScriptDirectory(str(SCRIPTS))
    return {script.revision: script.is_head for script in scripts.walk_revisions()}


def head() -> str:
    """The newest revision among our migrations."""
    return next(revision for revision, is_newest in known().items() if is_newest)


async def revision(engine: AsyncEngine) -> str | None:
    """The database's revision; None when it was never migrated or we may not see."""
    async with engine.connect() as connection:
        return await connection.run_sync(revision_of)


def revision_of(connection: Connection) -> str | None:
    """As `revision`, over an open connection."""
    if not connection.execute(VERSIONED).scalar_one():
        return None
    found: str | None = connection.execute(VERSION).scalar_one_or_none()
    return found
