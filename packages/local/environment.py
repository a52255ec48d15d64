"""Create `.venv` with the locked packages and the `nudge` command: `python3 packages/local/environment.py`.

Uses only the standard library, because it runs before anything is installed. Does nothing if nothing has changed.
With `--this-python` an environment of another Python is replaced.
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
    """Bring the environment up to date; a concurrent second call waits for the first."""
    os.chdir(Path(__file__).resolve().parents[2])
    with LOCK.open(encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        required = _wanted()
        installed = read_stamp(VENV)
        if installed:
            installed.setdefault("python", required["python"])  # stamps written before this key existed
        if "--this-python" not in sys.argv[1:]:
            required["python"] = installed.get("python", required["python"])
        if python_of(VENV).exists() and installed == required:
            return
        if not _has_pip(VENV) or installed.get("python") != required["python"]:
            shutil.rmtree(VENV, ignore_errors=True)
            make_venv(VENV)
            installed = {}
        if installed.get("packages") != required["packages"]:
            install_locked(VENV, LOCK)
        report("installing the `nudge` command")
        pip(VENV, "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
        write_stamp(VENV, required)


def python_of(venv: Path) -> Path:
    """The path of an environment's interpreter."""
    return venv / "bin" / "python"


def read_stamp(venv: Path) -> dict[str, str]:
    """The stamp of an environment: what was installed; empty if the installation was not finished."""
    try:
        return dict(json.loads((venv / STAMP).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}


def write_stamp(venv: Path, values: dict[str, str]) -> None:
    """Write the stamp of a finished environment."""
    (venv / STAMP).write_text(json.dumps(values), encoding="utf-8")


def make_venv(venv: Path) -> None:
    """Create an environment of the running Python, with pip."""
    report(f"creating {venv} with Python {sys.version.split()[0]}")
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(
            "this Python cannot create virtual environments: install its venv module "
            f"(Debian, Ubuntu: apt install python{sys.version_info.major}.{sys.version_info.minor}-venv), "
            "or use another Python"
        )
    run(sys.executable, "-m", "venv", str(venv))


def install_locked(venv: Path, lock: Path) -> None:
    """Install the packages of the lock file, with their hashes checked, reporting progress."""
    count = sum("==" in line for line in lock.read_text(encoding="utf-8").splitlines())
    report(f"installing {count} locked packages (hashes checked)")
    command = [str(python_of(venv)), *PIP, "install", "--progress-bar", "off", "--require-hashes", "-r", str(lock)]
    with subprocess.Popen(  # noqa: S603 - our own argument list, no shell
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines = list(_reporting(process.stdout or (), count))
    if process.returncode != 0:
        sys.stderr.writelines(lines[-LAST_LINES:])
        sys.exit(f"failed: {' '.join(command)}")


def _reporting(lines: Iterator[str] | tuple[str, ...], count: int) -> Iterator[str]:
    # pip would print four lines for each package; a count every few seconds is enough.
    fetched, reported = 0, time.monotonic()
    for line in lines:
        fetched += line.startswith("Collecting ")
        if line.startswith("Installing collected packages"):
            report("  unpacking them")
            fetched, reported = 0, math.inf
        elif time.monotonic() - reported > REPORT_SECONDS:
            report(f"  {fetched} of {count} fetched")
            reported = time.monotonic()
        yield line


def pip(venv: Path, *words: str) -> None:
    """Run an environment's pip; exits if it fails."""
    run(str(python_of(venv)), *PIP, *words)


def run(*argv: str, **variables: str) -> None:
    """Run a program; exits if it fails."""
    process = subprocess.run(argv, env={**environment(), **variables}, check=False)  # noqa: S603 - our own argument list
    if process.returncode != 0:
        sys.exit(f"failed: {' '.join(argv)}")


def environment() -> dict[str, str]:
    """The variables for a child process: without those of another environment, and with unbuffered output."""
    inherited = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    return {**inherited, "PYTHONUNBUFFERED": "1"}


def report(text: str) -> None:
    """Write a message to stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _wanted() -> dict[str, str]:
    # Includes the checkout's path: an editable install refers to it, so a copied or moved checkout needs a new one.
    return {
        "packages": hashlib.sha256(LOCK.read_bytes()).hexdigest(),
        "project": hashlib.sha256(Path("pyproject.toml").read_bytes()).hexdigest(),
        "checkout": str(Path.cwd()),
        "python": f"{sys.version.split()[0]} {sys.base_prefix}",
    }


def _has_pip(venv: Path) -> bool:
    # False also if an interrupted run has left an incomplete environment.
    python = python_of(venv)
    if not python.exists():
        return False
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0  # noqa: S603


if __name__ == "__main__":
    main()
