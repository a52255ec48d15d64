"""Tests of `make mutation`: the changes, the report of a sample, and the clean-up of copies and processes."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.local.waiting import is_running, until
from tests.mutation.checkouts import copy_checkout
from tests.mutation.coverage_data import is_test
from tests.mutation.mutants import mutants_of, sample_mutants

pytestmark = pytest.mark.skipif(
    shutil.which("git") is None, reason="the copy for mutants contains the files that git lists"
)
ROOT = Path(__file__).parents[2]
SAMPLE = """\
def is_adult(age: int) -> bool:
    return age >= 18


def larger(one: int, other: int) -> int:
    return max(one, other)
"""
TESTS = """\
from sample import is_adult, larger

def test_is_adult():
    assert [is_adult(17), is_adult(18)] == [False, True]

def test_larger():
    assert larger(2, 2) == 2
"""
HANGING = """\
import os, pathlib, time
from sample import answer

def test_answer():
    if answer() != 42:
        pathlib.Path(os.environ["STARTED"]).write_text(str(os.getpid()))
        time.sleep(600)
"""


def checkout(root: Path, source: str, tests: str) -> Path:
    """A checkout of two files."""
    root.mkdir()
    (root / "sample.py").write_text(source)
    (root / "test_sample.py").write_text(tests)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    return root


def sources(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in root.glob("*.py")}


def command(root: Path, *extra: str) -> list[str]:
    return [sys.executable, "-m", "tests.mutation", "--root", str(root), "--workers", "1", *extra, "sample.py"]


def environment(**extra: str) -> dict[str, str]:
    """The environment of a run without the plugins that the sample does not need: their import is slow."""
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_cov"}
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "packages"))), **plugins, **extra}


def test_killed_and_surviving_mutants_are_reported(tmp_path: Path) -> None:
    """A boundary that a test tries is killed, a maximum of two equal numbers survives, and no file is changed."""
    root = checkout(tmp_path / "sample", SAMPLE, TESTS)
    process = subprocess.run(
        command(root, "--seed", "1", "--fail-under", "51"),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    killed, survived = process.stdout.index("killed    sample.py:2"), process.stdout.index("survived  sample.py:6")
    lines = process.stdout.splitlines()
    assert "by test_sample.py::test_is_adult" in process.stdout[killed:]
    assert process.stdout[survived:].splitlines()[1:3] == [
        "          -    return max(one, other)",
        "          +    return min(one, other)",
    ]
    assert lines[-1] == "1 killed, 1 survived (50 % detected)"
    assert process.returncode == 1, process.stderr  # fewer than 51 %
    assert sources(root) == {"sample.py": SAMPLE, "test_sample.py": TESTS}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel ends no orphan")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_terminated_run_leaves_no_mutant_and_no_process(tmp_path: Path, number: signal.Signals) -> None:
    """Its tests end too, the checkout is unchanged, and the copies are removed, except after SIGKILL."""
    source, started = "def answer() -> int:\n    return 42\n", tmp_path / "started"
    root = checkout(tmp_path / "sample", source, HANGING)
    running = environment(STARTED=str(started), TMPDIR=str(tmp_path))
    with subprocess.Popen(
        command(root), env=running, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: started.exists() and started.read_text() != "")
            process.send_signal(number)
            until(lambda: process.poll() is not None)
        finally:
            process.kill()
    until(lambda: not is_running(int(started.read_text())))
    assert sources(root) == {"sample.py": source, "test_sample.py": HANGING}
    assert bool(list(tmp_path.glob("mutation-*"))) is (number is signal.SIGKILL)


def test_a_mutant_that_never_ends_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time limit pytest is killed, and the run has no exit code."""
    for name, value in environment(STARTED=str(tmp_path / "started")).items():
        monkeypatch.setenv(name, value)
    root = checkout(tmp_path / "sample", "def answer() -> int:\n    return 43\n", HANGING)
    run = copy_checkout(root, tmp_path / "copy").run("test_sample.py", limit_seconds=0.5)
    assert (run.code, run.failed) == (None, [])


def test_a_checkout_without_such_a_module_is_refused(tmp_path: Path) -> None:
    """A path that names no module of the product ends with a message, not with "all detected"."""
    root = checkout(tmp_path / "sample", SAMPLE, TESTS)
    only = [*command(root)[:-1], "test_sample.py"]
    process = subprocess.run(only, env=environment(), capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr == "mutation: no module of the product is in test_sample.py\n"


SOURCE = """\
\"\"\"A module.\"\"\"
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import x

def claimed(rows: int | None = 3, *, and_more: "list[int]") -> "int | None":
    \"\"\"Rows.\"\"\"
    log.info("claimed", rows=1)
    found = (
        select(A)
        .where(A.id == 1, A.held.is_(None))
        .order_by(A.id.asc())
    )
    if rows and not found or rows < 2:
        self.rows = found - 1
    send(True)
"""


def test_mutants_of_each_kind() -> None:
    """Conditions, clauses, numbers, flags and statements are changed, one line in each mutant."""
    source = SOURCE.encode()
    changes = {tuple(line for line in mutant.diff(source)) for mutant in mutants_of(Path("a.py"), source)}
    added_lines = {line[1:].strip() for change in changes for line in change if line.startswith("+")}
    assert added_lines == {
        'def claimed(rows: int | None = 4, *, and_more: "list[int]") -> "int | None":',
        ".where(A.id != 1, A.held.is_(None))",
        ".where(A.id == 2, A.held.is_(None))",
        ".where(A.held.is_(None))",
        ".where(A.id == 1)",
        ".order_by(A.id.desc())",
        "if False:",
        "if rows or not found or rows < 2:",
        "if rows or rows < 2:",
        "if rows and found or rows < 2:",
        "if rows and not found and rows < 2:",
        "if rows and not found:",
        "if rows and not found or rows <= 2:",
        "if rows and not found or rows < 3:",
        "pass",
        "self.rows = found + 1",
        "self.rows = found - 2",
        "send(False)",
    }
    assert (
        len(changes) == len(added_lines) + 3
    )  # `pass` stands for two statements, and two clauses are left out whole


def test_the_sample_is_repeatable_and_spread_over_lines() -> None:
    """The same seed gives the same mutants, no two on one line, and each compiles."""
    path, source = Path("a.py"), SOURCE.encode()
    mutants = sample_mutants({path: source}, 100, 7)
    assert mutants == sample_mutants({path: source}, 100, 7)
    assert mutants[:3] == sample_mutants({path: source}, 3, 7)
    lines = [mutant.line for mutant in mutants]
    assert sorted(lines) == sorted(set(lines)) == [6, 11, 12, 14, 15, 16]
    for mutant in mutants:
        compile(mutant.applied_to(source), "a.py", "exec")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("tests/campaigns/test_test_sends.py", True),
        ("test_sample.py", True),
        ("services/campaigns/test_sends.py", False),
        ("tests/factories.py", False),
    ],
)
def test_which_files_contain_tests(name: str, is_one: bool) -> None:
    """A module of the product that is named like a test is changed like any other, and never run."""
    assert is_test(name) is is_one
