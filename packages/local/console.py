"""Output of the supervised programs: on the terminal with the program's name as prefix, and in one file each."""

import os
import sys
from pathlib import Path
from typing import IO, TextIO

COLORS = (36, 33, 35, 32, 34, 96, 93, 95)  # ANSI: cyan, yellow, magenta, ...
OWN_NAME = "nudge"


class Console:
    """Writes lines of several programs to the terminal (in color) and to `<logs>/<name>.log`."""

    def __init__(self, logs: Path, terminal: TextIO | None = None) -> None:
        self._logs = logs
        self._terminal: TextIO | None = terminal or sys.stdout
        self._colored = self._terminal.isatty() and "NO_COLOR" not in os.environ
        self._files: dict[str, IO[str]] = {}
        self._width = len(OWN_NAME)

    def expect(self, *names: str) -> None:
        """Widen the column of names to fit these."""
        self._width = max(self._width, *map(len, names))

    def report(self, text: str) -> None:
        """Write a message of `nudge dev` itself."""
        for line in text.splitlines():
            self.line(OWN_NAME, line)

    def line(self, name: str, text: str) -> None:
        """Write a line of this program."""
        self._file(name).write(text + "\n")
        self.show(f"{self._prefix(name)} {text}")

    def show(self, text: str) -> None:
        """Write text to the terminal only."""
        if self._terminal is None:
            return
        try:
            self._terminal.write(text + "\n")
            self._terminal.flush()
        except OSError:
            self._terminal = None  # the terminal or pipe was closed; the files are still written

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _file(self, name: str) -> IO[str]:
        if name not in self._files:
            path = self._logs / f"{name}.log"
            self._files[name] = path.open("a", encoding="utf-8", buffering=1)
        return self._files[name]

    def _prefix(self, name: str) -> str:
        padded = f"{name:<{self._width}} |"
        if not self._colored:
            return padded
        color = 90 if name == OWN_NAME else COLORS[sum(name.encode()) % len(COLORS)]
        return f"\x1b[{color}m{padded}\x1b[0m"
