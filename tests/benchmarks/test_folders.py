"""The folder for results is created and checked before anything is measured."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.fanout import __main__ as fanout
from benchmarks.folders import writable_folder
from benchmarks.graphql import __main__ as graphql


class MeasurementStartedError(Exception):
    """The benchmark has started its servers."""


def start() -> None:
    """Replace the start of the servers."""
    raise MeasurementStartedError


@pytest.mark.parametrize("benchmark", [graphql, fanout])
def test_folder_is_created_before_the_measurement(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nested folders are created; the servers start afterwards."""
    folder = tmp_path / "results" / "today"
    monkeypatch.setattr(sys, "argv", ["benchmark", "--into", str(folder)])
    monkeypatch.setattr(benchmark, "start_environment", start)
    with pytest.raises(MeasurementStartedError):
        benchmark.main()
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("benchmark", [graphql, fanout])
def test_unwritable_folder_is_rejected(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path below a file ends the benchmark with status 2 and a message, before anything is measured."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["benchmark", "--into", str(tmp_path / "file" / "results")])
    monkeypatch.setattr(benchmark, "start_environment", start)
    with pytest.raises(SystemExit) as excinfo:
        benchmark.main()
    assert excinfo.value.code == 2
    assert f"cannot write into {tmp_path}/file/results: Not a directory" in capsys.readouterr().err


def test_existing_folder(tmp_path: Path) -> None:
    """The files of an existing folder are unchanged."""
    (tmp_path / "results.md").write_text("before")
    assert writable_folder(str(tmp_path)) == tmp_path
    assert (tmp_path / "results.md").read_text() == "before"
