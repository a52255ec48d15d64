"""`make mutation` in short: what it changes, what it reports of a sample, and that it leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.local.waiting import is_running, until
from tests.mutation.checkouts import copied
from tests.mutation.mutants import drawn, mutants_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="a mutant is tested in a copy of what git lists")
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
        pathlib.Path(os.environ["BEGUN"]).write_text(str(os.getpid()))
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


def command(root: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "tests.mutation", "--root", str(root), "--workers", "1", *more, "sample.py"]


def environment(**more: str) -> dict[str, str]:
    """That of a run without the plugins that the sample does not need: they take longer than its tests."""
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_cov"}
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "packages"))), **plugins, **more}


def test_killed_and_surviving_mutants_are_told_apart(tmp_path: Path) -> None:
    """A boundary that a test tries is killed, a maximum of two equal numbers survives, and no file is changed."""
    root = checkout(tmp_path / "sample", SAMPLE, TESTS)
    done = subprocess.run(
        command(root, "--seed", "1", "--fail-under", "51"),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    killed, survived = done.stdout.index("killed    sample.py:2"), done.stdout.index("survived  sample.py:6")
    lines = done.stdout.splitlines()
    assert "by test_sample.py::test_is_adult" in done.stdout[killed:]
    assert done.stdout[survived:].splitlines()[1:3] == [
        "          -    return max(one, other)",
        "          +    return min(one, other)",
    ]
    assert lines[-1] == "1 killed, 1 survived (50 % detected)"
    assert done.returncode == 1, done.stderr  # fewer than 51 %
    assert sources(root) == {"sample.py": SAMPLE, "test_sample.py": TESTS}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel ends no orphan")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_leaves_no_mutant_and_no_process(tmp_path: Path, number: signal.Signals) -> None:
    """Its tests end too, the checkout is as it was, and the copies are removed, but for SIGKILL."""
    source, begun = "def answer() -> int:\n    return 42\n", tmp_path / "begun"
    root = checkout(tmp_path / "sample", source, HANGING)
    running = environment(BEGUN=str(begun), TMPDIR=str(tmp_path))
    with subprocess.Popen(
        command(root), env=running, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: begun.exists() and begun.read_text() != "")
            process.send_signal(number)
            until(lambda: process.poll() is not None)
        finally:
            process.kill()
    until(lambda: not is_running(int(begun.read_text())))
    assert sources(root) == {"sample.py": source, "test_sample.py": HANGING}
    assert bool(list(tmp_path.glob("mutation-*"))) is (number is signal.SIGKILL)


def test_a_mutant_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the limit is over pytest is killed, and the run is told apart from one that failed."""
    for name, value in environment(BEGUN=str(tmp_path / "begun")).items():
        monkeypatch.setenv(name, value)
    root = checkout(tmp_path / "sample", "def answer() -> int:\n    return 43\n", HANGING)
    ran = copied(root, tmp_path / "copy").run("test_sample.py", limit_seconds=0.5)
    assert (ran.code, ran.failed) == (None, [])


def test_a_checkout_without_such_a_module_is_refused(tmp_path: Path) -> None:
    """A path that names no module of the product ends with a message, and not with "all detected"."""
    root = checkout(tmp_path / "sample", SAMPLE, TESTS)
    only = [*command(root)[:-1], "test_sample.py"]
    done = subprocess.run(only, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "mutation: no module of the product is in test_sample.py\n"


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


def test_what_is_changed() -> None:
    """Conditions, clauses, numbers, flags, statements: one line of each mutant differs, and it is compiled."""
    source = SOURCE.encode()
    changes = {tuple(line for line in mutant.diff(source)) for mutant in mutants_of(Path("a.py"), source)}
    put_in = {line[1:].strip() for change in changes for line in change if line.startswith("+")}
    assert put_in == {
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
    assert len(changes) == len(put_in) + 3  # `pass` stands for two statements, and two clauses are left out whole


def test_drawing_is_repeatable_and_spread_over_lines() -> None:
    """The same seed draws the same mutants, no two on one line, each of which compiles."""
    path, source = Path("a.py"), SOURCE.encode()
    mutants = drawn({path: source}, 100, 7)
    assert mutants == drawn({path: source}, 100, 7)
    assert mutants[:3] == drawn({path: source}, 3, 7)
    lines = [mutant.line for mutant in mutants]
    assert sorted(lines) == sorted(set(lines)) == [6, 11, 12, 14, 15, 16]
    for mutant in mutants:
        compile(mutant.applied_to(source), "a.py", "exec")
