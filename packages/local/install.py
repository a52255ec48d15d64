"""Install a production: `PYTHONPATH=packages python3 -m local.install --into /opt/nudgecampaign`, in the checkout.

The locked packages (hashes checked) and the `nudge` command are installed into an environment of their own, never
into a shared one: the product's top-level packages have names such as core, models and services. Each run creates a
new release in `FOLDER/releases`, and then switches the link `FOLDER/current` to it atomically: running processes keep
their files, and switching the link back undoes an upgrade. Uses only the standard library.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from local.environment import install_locked, make_venv, pip, python_of, read_stamp, report, run, write_stamp

CHECKOUT = Path(__file__).resolve().parents[2]
APP_LOCK = CHECKOUT / "requirements" / "app.lock"
DEV_LOCK = CHECKOUT / "requirements" / "dev.lock"
BUILD_PACKAGE = "setuptools"
LEFT_OUT = (".*", "node_modules", "__pycache__", "*.egg-info", "build", "dist", "tests", "benchmarks")
MIN_PYTHON = (3, 11)
LOCK = ".install.lock"
MAX_RELEASES = 3
WHY = (
    "NudgeCampaign needs an environment of its own: its top-level packages have names such as core, models and "
    "services, and would conflict with other packages"
)


def main() -> None:
    """Build a release and switch `current` to it."""
    parser = argparse.ArgumentParser(prog="python3 -m local.install", description=f"Install a production. {WHY}.")
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="created if missing")
    folder = parser.parse_args().into.expanduser().absolute()
    if sys.version_info < MIN_PYTHON:
        sys.exit(f"Python 3.11 or newer is required; this is {sys.version.split()[0]}")
    os.umask(0o022)  # the service's user must be able to read the files
    try:
        release = new_release(folder)
    except OSError as error:
        sys.exit(f"cannot install into {folder}: {error}")
    with (folder / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # a concurrent run would delete this release as unfinished
        build_release(folder, release)
    report(f"\nInstalled. The command is {folder / 'current' / 'bin' / 'nudge'}")


def build_release(folder: Path, release: Path) -> None:
    """Install a release, switch `current` to it, and delete old releases."""
    make_venv(release)
    install_locked(release, APP_LOCK)
    with tempfile.TemporaryDirectory(prefix="nudge-build-") as scratch:
        wheel = build_wheel(python_of(release), Path(scratch))
        pip(release, "install", "--quiet", "--no-deps", str(wheel))
    write_stamp(release, {"packages": hashlib.sha256(APP_LOCK.read_bytes()).hexdigest()})
    point_at(folder, release)
    delete_old_releases(folder)


def new_release(folder: Path) -> Path:
    """The path of a new release; exits if the folder is used for something else."""
    if (folder / "pyvenv.cfg").exists() or (folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder)):
        sys.exit(f"{folder} is not empty and was not created by this command: use another folder. {WHY}.")
    releases = folder / "releases"
    releases.mkdir(parents=True, exist_ok=True)
    release = releases / time.strftime("%Y%m%d-%H%M%S")
    while release.exists():
        release = release.with_name(f"{release.name}b")
    return release


def build_wheel(python: Path, scratch: Path) -> Path:
    """Build a wheel of the project from a clean copy, without remains of earlier builds in the checkout."""
    report("building the `nudge` command")
    source, tools = scratch / "source", scratch / "tools"
    shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(*LEFT_OUT))
    lock = scratch / "build.lock"
    lock.write_text(locked(BUILD_PACKAGE, DEV_LOCK.read_text(encoding="utf-8")), encoding="utf-8")
    words = (str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
    run(*words, "install", "--require-hashes", "--target", str(tools), "-r", str(lock))
    built = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(scratch), str(source))
    run(*words, *built, PYTHONPATH=str(tools))
    return next(scratch.glob("*.whl"))


def locked(package: str, text: str) -> str:
    """The entry of a package in a lock file, with its hashes."""
    entry: list[str] = []
    for line in text.splitlines():
        if line.startswith(f"{package}==") or (entry and entry[-1].endswith("\\")):
            entry.append(line)
    if not entry:
        raise LookupError(f"{package} is not locked")
    return "\n".join(entry) + "\n"


def point_at(folder: Path, release: Path) -> None:
    """Switch `current` to the release, atomically."""
    link = folder / ".current"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("releases") / release.name)
    link.replace(folder / "current")


def delete_old_releases(folder: Path) -> None:
    """Delete unfinished releases, and all but the newest and the current one."""
    current = (folder / "current").resolve()
    releases = sorted(path for path in (folder / "releases").iterdir() if path != current)
    finished = [path for path in releases if read_stamp(path)]
    for path in releases:
        if path not in finished[-(MAX_RELEASES - 1) :]:
            shutil.rmtree(path)


def _is_ours(folder: Path) -> bool:
    return (folder / "releases").is_dir() and {path.name for path in folder.iterdir()} <= {
        "releases",
        "current",
        ".current",
        LOCK,
    }


if __name__ == "__main__":
    main()
