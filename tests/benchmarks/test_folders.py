"""Results go into a folder that is made, and tried, before anything is measured."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.fanout import __main__ as fanout
from benchmarks.folders import writable_folder
from benchmarks.graphql import __main__ as graphql


class Measured(Exception):
    """The benchmark has begun to measure."""


def begin() -> None:
    """Stand in for the start of the servers."""
    raise Measured


@pytest.mark.parametrize("benchmark", [graphql, fanout])
def test_the_folder_is_there_before_the_measuring(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders in folders are made; the servers start afterwards."""
    folder = tmp_path / "results" / "today"
    monkeypatch.setattr(sys, "argv", ["benchmark", "--into", str(folder)])
    monkeypatch.setattr(benchmark, "stage", begin)
    with pytest.raises(Measured):
        benchmark.main()
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("benchmark", [graphql, fanout])
def test_a_folder_that_cannot_be_written_is_refused_at_once(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below a file there is no folder: the benchmark ends with 2 and says so, and nothing was measured."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["benchmark", "--into", str(tmp_path / "file" / "results")])
    monkeypatch.setattr(benchmark, "stage", begin)
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code == 2
    assert f"cannot write into {tmp_path}/file/results: Not a directory" in capsys.readouterr().err


def test_a_folder_that_is_there_is_taken(tmp_path: Path) -> None:
    """What is in it stays."""
    (tmp_path / "results.md").write_text("before")
    assert writable_folder(str(tmp_path)) == tmp_path
    assert (tmp_path / "results.md").read_text() == "before"
