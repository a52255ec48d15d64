"""The folder that results go into, made and tried before anything is measured."""

import argparse
import tempfile
from pathlib import Path

INTO = "where results.md and .png go; made where missing"


def writable_folder(text: str) -> Path:
    """A folder named on the command line, for `argparse`, which says why one cannot be used and ends with 2."""
    folder = Path(text).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write into {folder}: {error.strerror}") from error
    return folder
