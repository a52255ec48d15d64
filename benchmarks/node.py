"""The servers in Node; their packages are installed from `peers/package-lock.json` when they are first needed."""

import shutil
import subprocess
from pathlib import Path

PEERS = Path(__file__).parent / "peers"


def install() -> bool:
    """Install the packages, unless they are up to date. Returns False on a machine without Node."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return False
    stamp = PEERS / "node_modules" / ".package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < (PEERS / "package-lock.json").stat().st_mtime:
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=PEERS, check=True)  # noqa: S603 - our own lock file
        stamp.touch()
    return True


def command(script: str) -> list[str | Path]:
    """The command line of a server."""
    node = shutil.which("node")
    assert node is not None
    return [node, PEERS / script]
