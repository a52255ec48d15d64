"""The folder for results, created and checked before anything is measured."""

import argparse
import tempfile
from pathlib import Path

INTO = "folder for results.md and results.png, created if missing"


def writable_folder(text: str) -> Path:
    """An `argparse` type: create a folder, and reject one that cannot be written."""
    folder = Path(text).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write into {folder}: {error.strerror}") from error
    return folder
