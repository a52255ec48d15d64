"""The Node peers: their packages, installed as `peers/package-lock.json` says when they are first needed."""

import shutil
import subprocess
from pathlib import Path

PEERS = Path(__file__).parent / "peers"


def installed() -> bool:
    """Install the peers where that is not done yet; False on a machine without Node."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return False
    stamp = PEERS / "node_modules" / ".package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < (PEERS / "package-lock.json").stat().st_mtime:
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=PEERS, check=True)  # noqa: S603 - our own lock
        stamp.touch()
    return True


def command(script: str) -> list[str | Path]:
    """The command line of a peer."""
    node = shutil.which("node")
    assert node is not None
    return [node, PEERS / script]


def version() -> str:
    """The version of Node."""
    done = subprocess.run([*map(str, command("")[:1]), "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.strip()
