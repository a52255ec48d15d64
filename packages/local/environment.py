"""Make `.venv` with the locked packages and the `nudge` command: `python3 packages/local/environment.py`.

Standard library only: it runs before anything is installed. It does nothing when nothing has changed.
With `--this-python` an environment of another Python is made anew.
"""

import fcntl
import hashlib
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

VENV = Path(".venv")
LOCK = Path("requirements") / "dev.lock"
STAMP = "installed.json"
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")
REPORT_SECONDS = 3.0
LAST_LINES = 15


def main() -> None:
    """Bring the environment up to date; a second call at the same time waits for the first."""
    os.chdir(Path(__file__).resolve().parents[2])
    with LOCK.open(encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        wanted = _wanted()
        installed = read_stamp(VENV)
        if installed:
            installed.setdefault("python", wanted["python"])  # of before it was noted
        if "--this-python" not in sys.argv[1:]:
            wanted["python"] = installed.get("python", wanted["python"])
        if python_of(VENV).exists() and installed == wanted:
            return
        if not _has_pip(VENV) or installed.get("python") != wanted["python"]:
            shutil.rmtree(VENV, ignore_errors=True)
            make_venv(VENV)
            installed = {}
        if installed.get("packages") != wanted["packages"]:
            install_locked(VENV, LOCK)
        say("installing the `nudge` command")
        pip(VENV, "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
        write_stamp(VENV, wanted)


def python_of(venv: Path) -> Path:
    """The interpreter of an environment."""
    return venv / "bin" / "python"


def read_stamp(venv: Path) -> dict[str, str]:
    """What was installed into an environment; empty when it was not finished."""
    try:
        return dict(json.loads((venv / STAMP).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}


def write_stamp(venv: Path, values: dict[str, str]) -> None:
    """Note that an environment is finished, and what is in it."""
    (venv / STAMP).write_text(json.dumps(values), encoding="utf-8")


def make_venv(venv: Path) -> None:
    """An empty environment of the running Python, with pip in it."""
    say(f"making {venv} with Python {sys.version.split()[0]}")
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(
            "this Python cannot make virtual environments: install its venv module "
            f"(Debian, Ubuntu: apt install python{sys.version_info.major}.{sys.version_info.minor}-venv), "
            "or name another Python"
        )
    run(sys.executable, "-m", "venv", str(venv))


def install_locked(venv: Path, lock: Path) -> None:
    """Install what the lock file lists, hashes checked, telling how far it is."""
    count = sum("==" in line for line in lock.read_text(encoding="utf-8").splitlines())
    say(f"installing {count} locked packages (hashes checked)")
    command = [str(python_of(venv)), *PIP, "install", "--progress-bar", "off", "--require-hashes", "-r", str(lock)]
    with subprocess.Popen(  # noqa: S603 - our own argument list, no shell
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines = list(_reporting(process.stdout or (), count))
    if process.returncode != 0:
        sys.stderr.writelines(lines[-LAST_LINES:])
        sys.exit(f"failed: {' '.join(command)}")


def _reporting(lines: Iterator[str] | tuple[str, ...], count: int) -> Iterator[str]:
    # pip's own words would be four lines for each package: a count every few seconds says as much.
    found, reported = 0, time.monotonic()
    for line in lines:
        found += line.startswith("Collecting ")
        if line.startswith("Installing collected packages"):
            say("  unpacking them")
            found, reported = 0, math.inf
        elif time.monotonic() - reported > REPORT_SECONDS:
            say(f"  {found} of {count} fetched")
            reported = time.monotonic()
        yield line


def pip(venv: Path, *words: str) -> None:
    """Run pip of an environment; exits with what it said when it fails."""
    run(str(python_of(venv)), *PIP, *words)


def run(*argv: str, **variables: str) -> None:
    """Run a program; exits when it fails."""
    done = subprocess.run(argv, env={**environment(), **variables}, check=False)  # noqa: S603 - our own argument list
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(argv)}")


def environment() -> dict[str, str]:
    """Our variables for a child: settings of another environment must not leak in, and lines come at once."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def say(text: str) -> None:
    """Tell the person at the terminal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _wanted() -> dict[str, str]:
    # The checkout's path counts: an editable install points at it, so a copied or moved one must be made again.
    return {
        "packages": hashlib.sha256(LOCK.read_bytes()).hexdigest(),
        "project": hashlib.sha256(Path("pyproject.toml").read_bytes()).hexdigest(),
        "checkout": str(Path.cwd()),
        "python": f"{sys.version.split()[0]} {sys.base_prefix}",
    }


def _has_pip(venv: Path) -> bool:
    # False as well where an interrupted run left half an environment.
    python = python_of(venv)
    if not python.exists():
        return False
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0  # noqa: S603


if __name__ == "__main__":
    main()
