"""Copies of the checkout, in which mutants are tested; the checkout itself is only read."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

from local.processes import command

HERE = Path(__file__).parents[2]
_LINKED = (".venv", "web/node_modules", "tests/node/node_modules", "tests/node/compilers/node_modules")


_running: set[subprocess.Popen[bytes]] = set()


class MutationError(Exception):
    """Mutation testing cannot continue, e.g. because pytest or git failed; the message contains their output."""


@dataclass(frozen=True, slots=True)
class PytestRun:
    """What pytest reported; `code` is its exit code, or None after a timeout."""

    code: int | None
    seconds: dict[str, float]
    failed: list[str]
    output: str


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of a checkout."""

    root: Path

    def run(
        self, *arguments: str, selected: list[str] | None = None, limit_seconds: float | None = None
    ) -> PytestRun:
        """Run pytest in this copy; it and its servers end with this process, however that ends."""
        record, selection, log = (self.root.with_suffix(f".{name}") for name in ("record", "selection", "log"))
        record.unlink(missing_ok=True)
        selection.write_text(json.dumps(selected))
        filters = [] if selected is None else [f"--selection={selection}"]
        argv = [sys.executable, "-m", "pytest", f"--rootdir={self.root}", "-p", "tests.mutation.recording"]
        argv += [f"--record={record}", *filters, "-p", "no:cacheprovider", "-q", *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(argv, signal_on_orphan=signal.SIGKILL),
                cwd=self.root,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            _running.add(process)
            try:
                code = process.wait(limit_seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                process.kill()
                process.wait()
                _running.discard(process)
        results = json.loads(record.read_text()) if record.exists() else {"seconds": {}, "failed": []}
        return PytestRun(code, results["seconds"], results["failed"], log.read_text(errors="replace"))

    def mutate(self, path: Path, source: bytes) -> None:
        """Write a module of this copy, and delete its compiled bytecode."""
        (self.root / path).write_bytes(source)
        Path(cache_from_source(self.root / path)).unlink(missing_ok=True)

    def _environment(self) -> dict[str, str]:
        # Before the installed packages, so that subprocesses of tests import from this copy as well.
        folders = (self.root, self.root / "packages", HERE)
        return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}


def end_all() -> None:
    """Kill every pytest that runs in a copy."""
    for process in list(_running):
        process.kill()


def copy_checkout(root: Path, target: Path) -> Checkout:
    """Copy the files of the work tree that git tracks or does not ignore; link installed packages."""
    for name in list_paths(root, "ls-files", "--cached", "--others", "--exclude-standard"):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)
    for name in _LINKED:
        if (root / name).exists():
            (target / name).symlink_to(root / name)
    return Checkout(target)


def list_paths(root: Path, *arguments: str) -> list[str]:
    """The paths that a git command prints.

    Raises:
        MutationError: git exited with an error.
    """
    process = subprocess.run(["git", *arguments, "-z"], cwd=root, capture_output=True, text=True, check=False)
    if process.returncode:
        raise MutationError(f"git {' '.join(arguments)}: {process.stderr.strip()}")
    return [name for name in process.stdout.split("\0") if name]
