"""Install a production: `PYTHONPATH=packages python3 -m local.install --into /opt/nudgecampaign`, in the checkout.

The locked packages (hashes checked) and the `nudge` command go into an environment of their own, and never into one
that is shared: the product's top-level packages are named core, models, services and the like. Each run makes a new
release in `FOLDER/releases` and then points `FOLDER/current` at it, in one step: what runs goes on with its own
files, and pointing back is how to undo an upgrade. Standard library only.
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

from local.environment import install_locked, make_venv, pip, python_of, read_stamp, run, say, write_stamp

CHECKOUT = Path(__file__).resolve().parents[2]
APP_LOCK = CHECKOUT / "requirements" / "app.lock"
DEV_LOCK = CHECKOUT / "requirements" / "dev.lock"
BUILD_PACKAGE = "setuptools"
LEFT_OUT = (".*", "node_modules", "__pycache__", "*.egg-info", "build", "dist", "tests", "benchmarks")
OLDEST_PYTHON = (3, 11)
LOCK = ".install.lock"
RELEASES_KEPT = 3
WHY = (
    "NudgeCampaign needs an environment of its own: its top-level packages are named core, models, services and the "
    "like, and would replace others of these names, or be replaced"
)


def main() -> None:
    """Make a release and point `current` at it."""
    parser = argparse.ArgumentParser(prog="python3 -m local.install", description=f"Install a production. {WHY}.")
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="made where missing")
    folder = parser.parse_args().into.expanduser().absolute()
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Python 3.11 or newer is needed, and this is {sys.version.split()[0]}")
    os.umask(0o022)  # whoever installs, the service's user must be able to read it
    try:
        release = new_release(folder)
    except OSError as error:
        sys.exit(f"cannot install into {folder}: {error}")
    with (folder / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # a second one would take the first one's release for an unfinished one
        make(folder, release)
    say(f"\nInstalled. The command is {folder / 'current' / 'bin' / 'nudge'}")


def make(folder: Path, release: Path) -> None:
    """Fill a release, point `current` at it, and delete what is too old."""
    make_venv(release)
    install_locked(release, APP_LOCK)
    with tempfile.TemporaryDirectory(prefix="nudge-build-") as scratch:
        wheel = build_wheel(python_of(release), Path(scratch))
        pip(release, "install", "--quiet", "--no-deps", str(wheel))
    write_stamp(release, {"packages": hashlib.sha256(APP_LOCK.read_bytes()).hexdigest()})
    point_at(folder, release)
    forget_old(folder)


def new_release(folder: Path) -> Path:
    """The path of a release that is not there yet; exits where the folder is in other use."""
    if (folder / "pyvenv.cfg").exists() or (folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder)):
        sys.exit(f"{folder} is not empty and was not made by this command: name another folder. {WHY}.")
    releases = folder / "releases"
    releases.mkdir(parents=True, exist_ok=True)
    release = releases / time.strftime("%Y%m%d-%H%M%S")
    while release.exists():
        release = release.with_name(f"{release.name}b")
    return release


def build_wheel(python: Path, scratch: Path) -> Path:
    """The project as a wheel, built from a clean copy: what an earlier build left in the checkout stays out."""
    say("building the `nudge` command")
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
    """The entry of one package in a lock file, its hashes included."""
    entry: list[str] = []
    for line in text.splitlines():
        if line.startswith(f"{package}==") or (entry and entry[-1].endswith("\\")):
            entry.append(line)
    if not entry:
        raise LookupError(f"{package} is not locked")
    return "\n".join(entry) + "\n"


def point_at(folder: Path, release: Path) -> None:
    """Make `current` lead to the release; at every moment it leads to one."""
    link = folder / ".current"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("releases") / release.name)
    link.replace(folder / "current")


def forget_old(folder: Path) -> None:
    """Delete what was not finished, and all but the newest releases; the current one stays."""
    current = (folder / "current").resolve()
    releases = sorted(path for path in (folder / "releases").iterdir() if path != current)
    finished = [path for path in releases if read_stamp(path)]
    for path in releases:
        if path not in finished[-(RELEASES_KEPT - 1) :]:
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
