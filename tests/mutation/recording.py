"""A pytest plugin that runs the selected tests only, and writes their durations and failures.

`pytest -p tests.mutation.recording --selection FILE --record FILE`; both files are JSON.
"""

import json
from pathlib import Path

import pytest


class Recorder:
    """Collects the durations and failures of a run."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the duration of a phase (setup, call, teardown) of a test."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file that cannot be imported as failed."""
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write the results."""
        self.target.write_text(json.dumps({"seconds": self.seconds, "failed": self.failed}))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--selection", type=Path)
    parser.addoption("--record", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    record = config.getoption("--record")
    is_worker = hasattr(config, "workerinput")  # workers of pytest-xdist report to the main process
    if record is not None and not is_worker:
        config.pluginmanager.register(Recorder(record))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    file = config.getoption("--selection")
    if file is not None:
        selected = set(json.loads(file.read_text()))
        items[:] = [item for item in items if item.nodeid in selected]
