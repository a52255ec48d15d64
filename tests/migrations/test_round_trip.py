"""The migrations, up and down and up again."""

import pytest
from alembic import command

from core import migration
from tests.conftest import Servers, copy_template


@pytest.mark.parametrize("down_to", ["0001", "base"])
async def test_what_goes_up_comes_down_and_goes_up_again(servers: Servers, down_to: str) -> None:
    """A downgrade leaves nothing that the upgrade stumbles over, and the models agree with the tables at the end."""
    url = servers.database_url(servers.postgres.migrator_url, await copy_template(servers))
    await migration.check(url)
    await migration.as_migrator(url, lambda connection: command.downgrade(migration.config(connection), down_to))
    await migration.upgrade(url)
    await migration.check(url)
