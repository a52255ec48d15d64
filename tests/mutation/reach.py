"""Which tests execute a line: measured by `coverage`, and later only for what has changed since."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from coverage import CoverageData

from tests.mutation.checkouts import Checkout, NotRun, Ran
from tests.mutation.mutants import Mutant

_SETTINGS: Final = """\
[run]
relative_files = true
concurrency = thread,greenlet
source = .
omit = tests/*,test_*,benchmarks/*,migrations/*,.venv/*
"""
_RAN: Final = (0, 1, 5)  # pytest's exit codes when all passed, some failed, there was none
_NOTHING: Final[dict[str, Any]] = {"texts": {}, "seconds": {}, "failed": []}


@dataclass(frozen=True, slots=True)
class Reach:
    """The lines that each test executes, how many seconds it takes, and which fail without any mutant."""

    data: CoverageData
    seconds: dict[str, float]
    failed: list[str]

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that execute the statement; else those that execute its module; else those of its noun.

        A module's own statements are executed when it is imported, which is before any test.
        """
        lines = self.data.contexts_by_lineno(str(mutant.path))
        first, last = mutant.statement
        nouns = {mutant.path.stem, *mutant.path.parts[1:-1]}
        return (
            self._named(context for line in range(first, last + 1) for context in lines.get(line, ()))
            or self._named(context for contexts in lines.values() for context in contexts)
            or sorted(test for test in self.seconds if nouns & set(Path(_file(test)).parts[1:-1]))
        )

    def chosen(self, tests: Iterable[str], seconds: float) -> list[str]:
        """As many of the tests as take so long together: of every file in turn, the quickest first."""
        files: dict[str, list[str]] = {}
        for test in sorted(set(tests) - set(self.failed), key=lambda test: (self.seconds[test], test)):
            files.setdefault(_file(test), []).append(test)
        found: list[str] = []
        for in_turn in zip_longest(*files.values()):
            for test in filter(None, in_turn):
                if self.seconds[test] <= seconds:
                    seconds -= self.seconds[test]
                    found.append(test)
        return found

    def _named(self, contexts: Iterable[str]) -> list[str]:
        return sorted({context.rpartition("|")[0] for context in contexts} & self.seconds.keys())


def measured(checkout: Checkout, cache: Path, places: Sequence[Path], arguments: Iterable[str]) -> Reach:
    """What the tests in these places execute; the folder `cache` keeps it for the next time.

    Measured again are the files of tests that have changed, and those whose tests executed a module that has.

    Raises:
        NotRun: pytest could not run.
    """
    cache.mkdir(exist_ok=True)
    state, data = cache / "reach.json", CoverageData(str(cache / "coverage"))
    known = json.loads(state.read_text()) if state.exists() else _NOTHING
    data.read()
    texts = {str(path.relative_to(checkout.root)): _hash(path) for path in checkout.root.rglob("*.py")}
    changed = {name for name in texts | known["texts"] if texts.get(name) != known["texts"].get(name)}
    modules = changed & data.measured_files()
    stale = set(filter(_is_test, changed)) | _files_of_tests(data, modules)
    if modules:
        data.purge_files(modules)
    seconds = {test: value for test, value in known["seconds"].items() if _file(test) not in stale}
    failed = [test for test in known["failed"] if _file(test) not in stale]
    if files := sorted(name for name in stale & texts.keys() if _is_in(name, places)):
        ran = _run(checkout, data, [*arguments, *files])
        seconds |= ran.seconds
        failed += ran.failed
        stale -= set(files)
    kept = {name: value for name, value in texts.items() if name not in stale}
    state.write_text(json.dumps({"texts": kept, "seconds": seconds, "failed": failed}))
    return Reach(data, {test: value for test, value in seconds.items() if _is_in(_file(test), places)}, failed)


def _run(checkout: Checkout, data: CoverageData, arguments: Sequence[str]) -> Ran:
    settings = checkout.root.with_suffix(".coverage")
    settings.write_text(_SETTINGS)
    ran = checkout.run("--cov", f"--cov-config={settings}", "--cov-context=test", "--cov-report=", *arguments)
    if ran.code not in _RAN:
        raise NotRun(f"pytest could not run: {ran.output[-2_000:]}")
    new = CoverageData(str(checkout.root / ".coverage"))
    new.read()
    data.update(new)
    return ran


def _files_of_tests(data: CoverageData, modules: Iterable[str]) -> set[str]:
    lines = (line for module in modules for line in data.contexts_by_lineno(module).values())
    return {_file(context) for contexts in lines for context in contexts if context}


def _file(test: str) -> str:
    return test.partition("::")[0]


def _is_test(name: str) -> bool:
    return Path(name).name.startswith("test_")


def _is_in(name: str, places: Sequence[Path]) -> bool:
    return not places or any(Path(name).is_relative_to(place) for place in places)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
