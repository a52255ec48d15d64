"""`nudge demo` uses the API of its own data folder only."""

import contextlib
from pathlib import Path

import pytest

from local.demonstration import api_url
from local.folder import LocalError, lock_home, prepare_home, store_values
from tests.operating.commands import assert_refused, nudge

OWN, OTHER = "http://127.0.0.1:8200", "http://127.0.0.1:8000"


@pytest.mark.parametrize("url", [None, OTHER])
def test_the_api_of_its_own_folder_is_used(tmp_path: Path, url: str | None) -> None:
    """The `nudge dev` of the data folder is used, not the program on the default port."""
    home = prepare_home(tmp_path)
    store_values(home, "servers", api_url=OWN)
    with lock_home(home):
        assert api_url(home, url) == OWN


def test_without_one_only_a_configured_address_is_used(tmp_path: Path) -> None:
    """The stored addresses of an earlier run are ignored."""
    home = prepare_home(tmp_path)
    store_values(home, "servers", api_url=OWN)
    assert api_url(home, OTHER) == OTHER
    with pytest.raises(LocalError, match=f"no `nudge dev` is running on {tmp_path}"):
        api_url(home, None)


async def test_the_command_fails_if_nothing_runs_on_its_folder(tmp_path: Path) -> None:
    """It does not use another copy's API on the default port, and exits with 2."""
    assert_refused(await nudge("demo", folder=tmp_path), f"no `nudge dev` is running on {tmp_path}/.nudge")


async def test_the_command_uses_the_address_stored_in_its_folder(tmp_path: Path) -> None:
    """It tries the address stored in the folder, and names it if it does not answer."""
    home = prepare_home(tmp_path / ".nudge")
    store_values(home, "servers", api_url="http://127.0.0.1:1")
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock_home(home))
        result = await nudge("demo", folder=tmp_path)
    assert_refused(result, "the API at http://127.0.0.1:1/graphql did not answer")
