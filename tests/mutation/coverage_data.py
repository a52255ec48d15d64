"""The tests that execute each line, measured by `coverage` and cached; changed files are measured again."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from coverage import CoverageData

from tests.mutation.checkouts import Checkout, MutationError, PytestRun
from tests.mutation.mutants import Mutant

_SETTINGS: Final = """\
[run]
relative_files = true
concurrency = thread,greenlet
source = .
omit = tests/*,test_*,benchmarks/*,migrations/*,.venv/*
"""
_COMPLETED: Final = (0, 1, 5)  # exit codes of pytest: all passed, some failed, no tests were collected
_EMPTY_STATE: Final[dict[str, Any]] = {"hashes": {}, "seconds": {}, "failed": []}


@dataclass(frozen=True, slots=True)
class LineCoverage:
    """The lines that each test executes, how many seconds it takes, and which fail without any mutant."""

    data: CoverageData
    seconds: dict[str, float]
    failed: list[str]

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that execute the statement; else those that execute its module; else those of its noun.

        Statements at module level run at import, before any test, so coverage assigns them to no test.
        """
        lines = self.data.contexts_by_lineno(str(mutant.path))
        first, last = mutant.statement
        nouns = {mutant.path.stem, *mutant.path.parts[1:-1]}
        return (
            self._tests_in(context for line in range(first, last + 1) for context in lines.get(line, ()))
            or self._tests_in(context for contexts in lines.values() for context in contexts)
            or sorted(test for test in self.seconds if nouns & set(Path(_file(test)).parts[1:-1]))
        )

    def select_tests(self, tests: Iterable[str], seconds: float) -> list[str]:
        """As many tests as fit into so many seconds, round-robin over their files, the fastest first."""
        files: dict[str, list[str]] = {}
        for test in sorted(set(tests) - set(self.failed), key=lambda test: (self.seconds[test], test)):
            files.setdefault(_file(test), []).append(test)
        selected: list[str] = []
        for next_tests in zip_longest(*files.values()):
            for test in filter(None, next_tests):
                if self.seconds[test] <= seconds:
                    seconds -= self.seconds[test]
                    selected.append(test)
        return selected

    def _tests_in(self, contexts: Iterable[str]) -> list[str]:
        return sorted({context.rpartition("|")[0] for context in contexts} & self.seconds.keys())


def measure_coverage(
    checkout: Checkout, cache: Path, folders: Sequence[Path], arguments: Iterable[str]
) -> LineCoverage:
    """The lines that the tests in these folders execute; results are stored in the folder `cache`.

    Only test files that changed, or whose tests executed a changed module, are measured again.

    Raises:
        MutationError: pytest could not run.
    """
    cache.mkdir(exist_ok=True)
    state_file, data = cache / "state.json", CoverageData(str(cache / "coverage"))
    state = json.loads(state_file.read_text()) if state_file.exists() else _EMPTY_STATE
    data.read()
    hashes = {str(path.relative_to(checkout.root)): _hash(path) for path in checkout.root.rglob("*.py")}
    changed_files = {name for name in hashes | state["hashes"] if hashes.get(name) != state["hashes"].get(name)}
    modules = changed_files & data.measured_files()
    stale = set(filter(is_test, changed_files)) | _files_of_tests(data, modules)
    if modules:
        data.purge_files(modules)
    seconds = {test: value for test, value in state["seconds"].items() if _file(test) not in stale}
    failed = [test for test in state["failed"] if _file(test) not in stale]
    if files := sorted(name for name in stale & hashes.keys() if _is_in(name, folders)):
        run = _run(checkout, data, [*arguments, *files])
        seconds |= run.seconds
        failed += run.failed
        stale -= set(files)
    current = {name: value for name, value in hashes.items() if name not in stale}
    state_file.write_text(json.dumps({"hashes": current, "seconds": seconds, "failed": failed}))
    return LineCoverage(
        data, {test: value for test, value in seconds.items() if _is_in(_file(test), folders)}, failed
    )


def _run(checkout: Checkout, data: CoverageData, arguments: Sequence[str]) -> PytestRun:
    settings = checkout.root.with_suffix(".coverage")
    settings.write_text(_SETTINGS)
    run = checkout.run("--cov", f"--cov-config={settings}", "--cov-context=test", "--cov-report=", *arguments)
    if run.code not in _COMPLETED:
        raise MutationError(f"pytest could not run: {run.output[-2_000:]}")
    new = CoverageData(str(checkout.root / ".coverage"))
    new.read()
    data.update(new)
    return run


def _files_of_tests(data: CoverageData, modules: Iterable[str]) -> set[str]:
    lines = (line for module in modules for line in data.contexts_by_lineno(module).values())
    return {_file(context) for contexts in lines for context in contexts if context}


def _file(test: str) -> str:
    return test.partition("::")[0]


def is_test(name: str) -> bool:
    """Whether a path is a file of tests; the module of test messages, `test_sends.py`, is not."""
    path = Path(name)
    return path.name.startswith("test_") and (path.parts[0] == "tests" or len(path.parts) == 1)


def _is_in(name: str, folders: Sequence[Path]) -> bool:
    return not folders or any(Path(name).is_relative_to(folder) for folder in folders)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
