"""Copies of the checkout, in which mutants are tested: the checkout itself is only read."""

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


class NotRun(Exception):
    """Pytest, or git, could not do its work; the message says what it printed."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What pytest reported; `code` is its exit code, and None when it was ended for taking too long."""

    code: int | None
    seconds: dict[str, float]
    failed: list[str]
    output: str


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of a checkout."""

    root: Path

    def run(self, *arguments: str, chosen: list[str] | None = None, limit_seconds: float | None = None) -> Ran:
        """Run pytest in this copy; it and its servers end with this process, however that ends."""
        record, wanted, log = (self.root.with_suffix(f".{name}") for name in ("record", "chosen", "log"))
        record.unlink(missing_ok=True)
        wanted.write_text(json.dumps(chosen))
        limited = [] if chosen is None else [f"--chosen={wanted}"]
        argv = [sys.executable, "-m", "pytest", f"--rootdir={self.root}", "-p", "tests.mutation.recording"]
        argv += [f"--record={record}", *limited, "-p", "no:cacheprovider", "-q", *arguments]
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
        found = json.loads(record.read_text()) if record.exists() else {"seconds": {}, "failed": []}
        return Ran(code, found["seconds"], found["failed"], log.read_text(errors="replace"))

    def mutate(self, path: Path, source: bytes) -> None:
        """Write a module of this copy, and drop what was compiled of it before."""
        (self.root / path).write_bytes(source)
        Path(cache_from_source(self.root / path)).unlink(missing_ok=True)

    def _environment(self) -> dict[str, str]:
        # Before what is installed, so that the programs that tests start are of this copy as well.
        places = (self.root, self.root / "packages", HERE)
        return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}


def end_all() -> None:
    """Kill every pytest that runs in a copy."""
    for process in list(_running):
        process.kill()


def copied(root: Path, target: Path) -> Checkout:
    """Copy what git tracks, as it is in the work tree, and what it does not ignore; installed packages are linked."""
    for name in listed(root, "ls-files", "--cached", "--others", "--exclude-standard"):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)
    for name in _LINKED:
        if (root / name).exists():
            (target / name).symlink_to(root / name)
    return Checkout(target)


def listed(root: Path, *arguments: str) -> list[str]:
    """The paths that a command of git prints."""
    done = subprocess.run(["git", *arguments, "-z"], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotRun(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return [name for name in done.stdout.split("\0") if name]
