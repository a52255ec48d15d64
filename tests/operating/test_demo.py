"""`nudge demo` drives the copy of its own folder, or nothing."""

import contextlib
from pathlib import Path

import pytest

from local.demonstration import api_url
from local.folder import LocalError, held, prepare_home, remember
from tests.operating.commands import assert_refused, nudge

OWN, OTHER = "http://127.0.0.1:8200", "http://127.0.0.1:8000"


@pytest.mark.parametrize("chosen", [None, OTHER])
def test_the_copy_of_its_own_folder(tmp_path: Path, chosen: str | None) -> None:
    """What runs on the data folder is taken, whatever listens on the usual port."""
    home = prepare_home(tmp_path)
    remember(home, "servers", api_url=OWN)
    with held(home):
        assert api_url(home, chosen) == OWN


def test_without_one_only_an_address_that_was_asked_for(tmp_path: Path) -> None:
    """The servers of an earlier run are no matter: nothing runs there now."""
    home = prepare_home(tmp_path)
    remember(home, "servers", api_url=OWN)
    assert api_url(home, OTHER) == OTHER
    with pytest.raises(LocalError, match=f"no `nudge dev` is running on {tmp_path}"):
        api_url(home, None)


async def test_the_command_says_that_nothing_runs_here(tmp_path: Path) -> None:
    """Another copy's API on the usual port is left alone: exit code 2."""
    assert_refused(await nudge("demo", folder=tmp_path), f"no `nudge dev` is running on {tmp_path}/.nudge")


async def test_the_command_goes_where_its_folder_leads(tmp_path: Path) -> None:
    """It tries the address of the folder, and names it when nobody answers there."""
    home = prepare_home(tmp_path / ".nudge")
    remember(home, "servers", api_url="http://127.0.0.1:1")
    with contextlib.ExitStack() as stack:
        stack.enter_context(held(home))
        ended = await nudge("demo", folder=tmp_path)
    assert_refused(ended, "the API at http://127.0.0.1:1/graphql did not answer")
