"""`make test`: runs checks and tests concurrently, reports failures of both, and leaves no process."""

import ast
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.architecture.tree import functions
from tests.conftest import TARGETS
from tests.local.waiting import is_running, until

ROOT = Path(__file__).parents[2]
# In place of every program: prints its arguments, and fails for those in the file `failing`.
STUB = """#!/bin/sh
case "$*" in *-m*local.environment*) [ "$MAKELEVEL" = "$(cat slow)" ] && sleep 1; exit 0;; -c*) exit 0;; esac
echo "ran $*"
while [ -e waiting ]; do echo $$ >> pids; sleep 0.1; done
case "$*" in *"$(cat failing)"*) exit 1;; esac
"""


def checkout(folder: Path, failing: str) -> Path:
    """A checkout with a Makefile and programs that do nothing."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "nudge", "lint-imports"):
        (programs / name).write_text(STUB)
        (programs / name).chmod(0o755)
    for name in ("web", "tests/node", "tests/node/compilers"):
        (folder / name / "node_modules").mkdir(parents=True)
        for file in ("package-lock.json", "node_modules/.package-lock.json"):
            (folder / name / file).touch()
    (folder / "failing").write_text(failing)
    (folder / "slow").write_text("none")
    shutil.copy(ROOT / "Makefile", folder)
    return folder


def run_make(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run `make test` as from a shell, not as a part of the make that runs these tests."""
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run(["make", "test"], cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("failing", "succeeds"), [("nothing", True), ("-m pytest", False), ("-m mypy", False), ("schema check", False)]
)
def test_both_are_run_and_either_can_fail(tmp_path: Path, failing: str, succeeds: bool) -> None:
    """The tests run to their end if a check fails, and vice versa; the exit code covers both."""
    process = run_make(checkout(tmp_path, failing))
    assert (process.returncode == 0) is succeeds, process.stdout
    assert "ran -m pytest" in process.stdout
    assert "ran -m mypy" in process.stdout
    assert ("the checks or the tests failed" in process.stderr) is not succeeds


def test_checks_that_fail_at_once_do_not_stop_the_tests(tmp_path: Path) -> None:
    """Both run, even if the environment of the tests takes longer."""
    folder = checkout(tmp_path, "-m ruff check")
    (folder / "slow").write_text("2")  # of the tests; the checks run in the inner make
    process = run_make(folder)
    assert (process.returncode != 0, "ran -m pytest" in process.stdout) == (True, True)


def test_an_interrupt_ends_both(tmp_path: Path) -> None:
    """Ctrl-C ends make, the tests and the checks."""
    folder = checkout(tmp_path, "nothing")
    (folder / "waiting").touch()
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(["make", "test"], cwd=folder, stdout=output, stderr=output, start_new_session=True)
    pids = folder / "pids"
    try:
        until(lambda: pids.exists() and len(set(pids.read_text().split())) == 2)
        os.killpg(process.pid, signal.SIGINT)  # like a terminal
        assert process.wait(60) != 0
        started = {int(pid) for pid in pids.read_text().split()}
        until(lambda: not any(is_running(pid) for pid in started))
    finally:
        (folder / "waiting").unlink()
        process.kill()
        process.wait()


def test_every_tier_of_tests_has_a_target_a_description_and_a_nightly_run() -> None:
    """Tests with a short form in `make test` have a target for the long form, which the README and CI name."""
    makefile, readme = (ROOT / "Makefile").read_text(), (ROOT / "README.md").read_text()
    nightly = (ROOT / ".github" / "workflows" / "nightly.yml").read_text()
    for target in (*TARGETS, "mutation"):
        assert re.search(rf"^{target}: environment ## ", makefile, re.MULTILINE), target
        assert re.search(rf"^\| `make {target}` \|", readme, re.MULTILINE), target
        assert f'"{target}' in nightly, target


def test_every_tier_of_tests_has_a_short_form() -> None:
    """Some test with the mark of each target lacks the mark `slow`, so that `make test` runs it too."""
    marked = {
        target: [
            place
            for place, node in functions()
            if place.startswith("tests/")
            and f"pytest.mark.{target}" in (marks := [ast.unparse(each) for each in node.decorator_list])
            and "pytest.mark.slow" not in marks
        ]
        for target in TARGETS
    }
    assert all(marked.values()), marked
