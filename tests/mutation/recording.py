"""A pytest plugin: runs the chosen tests only, and writes how long each took and which failed.

`pytest -p tests.mutation.recording --chosen FILE --record FILE`; both files are JSON.
"""

import json
from pathlib import Path

import pytest


class Recording:
    """What the reports of a run contain."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the seconds of a phase of a test."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that cannot be imported."""
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write it all."""
        self.target.write_text(json.dumps({"seconds": self.seconds, "failed": self.failed}))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chosen", type=Path)
    parser.addoption("--record", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    record = config.getoption("--record")
    if record is not None and not hasattr(
        config, "workerinput"
    ):  # the workers of pytest-xdist report to the first process
        config.pluginmanager.register(Recording(record))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = config.getoption("--chosen")
    if chosen is not None:
        wanted = set(json.loads(chosen.read_text()))
        items[:] = [item for item in items if item.nodeid in wanted]
