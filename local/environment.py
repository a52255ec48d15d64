"""Make `.venv` with the locked packages and the `nudge` command: `python3 local/environment.py` in the checkout.

Standard library only: it runs before anything is installed. It does nothing when nothing has changed.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
LOCK = Path("requirements") / "dev.lock"
STAMP = VENV / "installed.json"
PIP = (str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install")


def main() -> None:
    """Bring the environment up to date; a second call at the same time waits for the first."""
    with LOCK.open(encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        wanted = _wanted()
        if PYTHON.exists() and _installed() == wanted:
            return
        if not _has_pip():
            _make_venv()
        if _installed().get("packages") != wanted["packages"]:
            _say("installing the locked packages (hashes checked)")
            _run(*PIP, "--require-hashes", "--requirement", str(LOCK))
        _run(*PIP, "--no-deps", "--no-build-isolation", "--editable", ".")
        STAMP.write_text(json.dumps(wanted), encoding="utf-8")


def _wanted() -> dict[str, str]:
    # The checkout's path counts: an editable install points at it, so a copied or moved one must be made again.
    return {
        "packages": hashlib.sha256(LOCK.read_bytes()).hexdigest(),
        "project": hashlib.sha256(Path("pyproject.toml").read_bytes()).hexdigest(),
        "checkout": str(Path.cwd()),
    }


def _installed() -> dict[str, str]:
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}


def _has_pip() -> bool:
    # False as well where an interrupted run left half an environment.
    if not PYTHON.exists():
        return False
    return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0  # noqa: S603


def _make_venv() -> None:
    _say(f"making {VENV} with Python {sys.version.split()[0]}")
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(
            "this Python cannot make virtual environments: install its venv module "
            f"(Debian, Ubuntu: apt install python{sys.version_info.major}.{sys.version_info.minor}-venv), "
            "or name another Python: make PYTHON=/path/to/python3 ..."
        )
    shutil.rmtree(VENV, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(VENV))


def _run(*argv: str) -> None:
    # Settings of another environment must not leak in.
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(argv, env=environment, check=False)  # noqa: S603 - our own argument list, no shell
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(argv)}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    main()
