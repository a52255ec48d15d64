"""The cache of plans, and when a new plan is made.

A document is compiled at its second use, within a bounded share of the process's time, so that documents that are
used once cost no more than with graphql-core. The last used plans are cached by the text of their document, and found
by the identity of the parsed document without a comparison.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import RLock
from typing import Any, Final
from weakref import ref

from graphql import DocumentNode, GraphQLError, GraphQLSchema
from graphql.execution import default_field_resolver

from execution.compiling import Compilation, Plan
from execution.eligibility import NotCompilable, condition_variables
from execution.run import PlanRun
from execution.variables import simple_variables

ATTRIBUTE: Final = "__compiled_operations__"
MAX_ALIASES: Final = 8
BURST_SECONDS: Final = 0.5
FAILED: Final = "compiler failed"


@dataclass(slots=True, kw_only=True)
class Limits:
    """Bounds of the memory and the time that compiling may take."""

    max_operations: int = 1_000  # of a schema
    max_fields: int = 20_000  # in all plans of a schema, at some 3.5 KiB each
    max_plans: int = 8  # of one operation: by the values of the variables that @skip and @include depend on
    max_seen: int = 10_000  # documents used but not yet compiled, of which a hash is stored
    min_uses: int = 2  # a document is compiled at this use
    time_share: float = 0.1  # of the time of one core, on average


@dataclass(frozen=True, slots=True)
class Fallback:
    """An operation that graphql-core executes, and the reason."""

    reason: str
    operation_name: str | None
    document: DocumentNode


@dataclass(slots=True)
class Counters:
    """Totals of this process."""

    compiled: int = 0
    executed: int = 0
    seconds: float = 0.0
    fallen_back: Counter[str] = field(default_factory=Counter)


limits = Limits()
counters = Counters()
listeners: list[Callable[[Fallback], None]] = []


def statistics() -> dict[str, Any]:
    """The plans compiled and executed, and the operations that graphql-core executed instead, by reason.

    After `first use` and `compile time limit` the document may be compiled at its next use. `compiler failed` is
    present from the start, with 0, so that an alert can be based on its increase.
    """
    return {
        "compiled": counters.compiled,
        "compiling_seconds": counters.seconds,
        "executed": counters.executed,
        "fallen_back": {FAILED: 0, **counters.fallen_back},
    }


def on_fallback(listener: Callable[[Fallback], None]) -> None:
    """Call the listener once for each cached operation that cannot be compiled."""
    listeners.append(listener)


class CompileTimeLimit:
    """The seconds that compiling may still take; they accrue over time."""

    def __init__(self) -> None:
        self.seconds = BURST_SECONDS
        self.at = time.perf_counter()

    def has_time(self) -> bool:
        """Whether there is time for one more plan."""
        now = time.perf_counter()
        self.seconds = min(BURST_SECONDS, self.seconds + (now - self.at) * limits.time_share)
        self.at = now
        return self.seconds > 0

    def spend(self, seconds: float) -> None:
        """Subtract the time that a plan took."""
        self.seconds -= seconds


compile_time_limit = CompileTimeLimit()


class CachedOperation:
    """An operation of a document, the variables of its conditions, and its plans so far."""

    __slots__ = (
        "aliases",
        "conditions",
        "document",
        "field_count",
        "fragment_definitions",
        "fragments",
        "name",
        "node",
        "not_compilable",
        "plans",
        "reported",
        "selections",
        "templates",
        "variables",
    )

    def __init__(self, document: DocumentNode, name: str | None, run: PlanRun) -> None:
        self.document = document
        self.name = name
        self.conditions: tuple[str, ...] = ()
        self.plans: dict[tuple[Any, ...], Plan | str] = {}
        self.templates: dict[type, Any] = {}
        self.not_compilable: str | None = None
        self.field_count = 0
        self.selections = 0
        self.node = run.operation
        self.fragments = run.fragments
        self.fragment_definitions = run.fragment_definitions
        self.variables = simple_variables(run.schema, run.operation, run.variable_values)
        self.aliases: OrderedDict[int, None] = OrderedDict()
        self.reported = False

    def variant_key(self, run: PlanRun) -> tuple[Any, ...] | None:
        """The key of the plan for an execution; None where a condition has no value."""
        if not self.conditions:
            return (run.field_resolver is default_field_resolver, run.encoder_scalars_key)
        coerced = run.variable_values.coerced
        values = [coerced.get(condition) for condition in self.conditions]
        if not all(value is True or value is False for value in values):
            return None
        return (run.field_resolver is default_field_resolver, run.encoder_scalars_key, *values)

    def existing_plan(self, run: PlanRun) -> "Plan | None":
        """The plan for this execution, if there is one."""
        if self.not_compilable is not None:
            return None
        plan = self.plans.get(self.variant_key(run) or ())
        return plan if isinstance(plan, Plan) else None


class PlanCache:
    """The plans of one schema; thread-safe."""

    def __init__(self, *, incremental: bool = False) -> None:
        self.incremental = incremental  # the schema has @defer or @stream, which `execute` does not support
        self.lock = RLock()
        self.operations: OrderedDict[tuple[object, str | None], CachedOperation] = OrderedDict()
        self.by_identity: dict[tuple[int, str | None], tuple[ref[DocumentNode], tuple[object, str | None]]] = {}
        self.seen: OrderedDict[tuple[int, str | None], int] = OrderedDict()
        self.field_count = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return (partial(PlanCache, incremental=self.incremental), ())  # a copy of the schema starts without plans

    def find_plan(
        self, run: PlanRun, document: DocumentNode, name: str | None, operation: CachedOperation | None
    ) -> Plan | str:
        """The plan to execute, or the reason why there is none."""
        operation = operation or self.find_or_add(run, document, name)
        if operation is None:
            return "first use"
        if operation.not_compilable is not None:
            return operation.not_compilable
        key = operation.variant_key(run)
        if key is None:
            return "condition without a value"
        plan = operation.plans.get(key)
        return self.compile(operation, key, run) if plan is None else plan

    def find_or_add(self, run: PlanRun, document: DocumentNode, name: str | None) -> CachedOperation | None:
        """The operation, added to the cache at its second use; None at the first."""
        with self.lock:
            operation = self.find_operation(document, name)
            if operation is None and self._is_used_again(document, name):
                return self._add(document, name, run)
            return operation

    def lookup(self, document: DocumentNode, name: str | None) -> CachedOperation | None:
        """The cached operation of this parsed document, by its identity."""
        with self.lock:
            alias = self.by_identity.get((id(document), name))
            if alias is None or alias[0]() is not document:
                return None
            self.operations.move_to_end(alias[1])
            return self.operations[alias[1]]

    def find_operation(self, document: DocumentNode, name: str | None) -> CachedOperation | None:
        """The cached operation of this document, by identity or by text."""
        with self.lock:
            cached = self.lookup(document, name)
            if cached is not None:
                return cached
            key = (_document_text(document), name)
            operation = self.operations.get(key)
            if operation is None or operation.document != document:
                return None
            self.operations.move_to_end(key)
            self._add_alias(operation, document, key)
            return operation

    def _add_alias(self, operation: CachedOperation, document: DocumentNode, key: tuple[object, str | None]) -> None:
        """Let the operation also be found by the identity of this parsed document."""
        alias = (id(document), operation.name)
        stale = self.by_identity.get(alias)
        if stale is not None and stale[1] in self.operations:
            self.operations[stale[1]].aliases.pop(id(document), None)
        self.by_identity[alias] = (ref(document), key)
        operation.aliases[id(document)] = None
        while len(operation.aliases) > MAX_ALIASES:
            oldest, _ = operation.aliases.popitem(last=False)
            self.by_identity.pop((oldest, operation.name), None)

    def _is_used_again(self, document: DocumentNode, name: str | None) -> bool:
        """Whether the document has been used often enough to compile it; counts this use."""
        key = (hash(_document_text(document)), name)
        times = self.seen.pop(key, 0) + 1
        if times >= limits.min_uses:
            return True
        self.seen[key] = times
        while len(self.seen) > limits.max_seen:
            self.seen.popitem(last=False)
        return False

    def _add(self, document: DocumentNode, name: str | None, run: PlanRun) -> CachedOperation:
        """Add the operation, and evict the least recently used ones above the limit."""
        key = (_document_text(document), name)
        self._evict(key)
        operation = CachedOperation(document, name, run)
        try:
            operation.conditions, operation.selections = condition_variables(document, run.operation)
        except NotCompilable as error:
            operation.not_compilable = str(error)
        self.operations[key] = operation
        self._add_alias(operation, document, key)
        while len(self.operations) > limits.max_operations:
            self._evict(next(iter(self.operations)))
        return operation

    def count_fields(self, operation: CachedOperation, number: int) -> None:
        """Count the fields of a plan, and evict other operations if there are too many."""
        if self.operations.get((_document_text(operation.document), operation.name)) is not operation:
            return  # another thread has evicted it meanwhile
        operation.field_count += number
        self.field_count += number
        while self.field_count > limits.max_fields and len(self.operations) > 1:
            self._evict(next(iter(self.operations)))

    def _evict(self, key: tuple[object, str | None]) -> None:
        """Remove the operation, if it is cached."""
        operation = self.operations.pop(key, None)
        if operation is not None:
            self.field_count -= operation.field_count
            for alias in operation.aliases:
                self.by_identity.pop((alias, operation.name), None)

    def compile(self, operation: CachedOperation, key: tuple[Any, ...], run: PlanRun) -> Plan | str:
        """Make a plan, if there is time; a reason against it is cached like a plan."""
        with self.lock:
            plan = operation.plans.get(key)
            if plan is not None:  # another thread has made it meanwhile
                return plan
            if len(operation.plans) >= limits.max_plans:
                return "too many variants"
            if not compile_time_limit.has_time():
                return "compile time limit"
            started = time.perf_counter()
            plan = _compile_plan(run, OperationMonitor(self, operation), custom_default=not key[0])
            if isinstance(plan, Plan):
                counters.compiled += 1
                self.count_fields(operation, plan.compilation.field_count + plan.compilation.bulk_field_count)
            spent = time.perf_counter() - started
            counters.seconds += spent
            compile_time_limit.spend(spent)
            operation.plans[key] = plan
            return plan


class OperationMonitor:
    """Permits, counts and reports what is compiled for an operation after its plan was made."""

    def __init__(self, cache: PlanCache, operation: CachedOperation) -> None:
        self.cache = cache
        self.operation = operation

    def has_time(self) -> bool:
        """Whether compiling may take more time now."""
        return compile_time_limit.has_time()

    def record(self, seconds: float, fields: int) -> None:
        """Count the time and the fields, and evict other operations if there are too many fields."""
        counters.seconds += seconds
        compile_time_limit.spend(seconds)
        with self.cache.lock:
            self.cache.count_fields(self.operation, fields)

    def report_failure(self, error: Exception) -> None:
        """Report an error of the compiler."""
        operation = self.operation
        record_fallback(f"{FAILED}: {type(error).__name__}: {error}", operation, operation.document, operation.name)


def _compile_plan(run: PlanRun, monitor: OperationMonitor, *, custom_default: bool) -> Plan | str:
    """A plan, or the reason why graphql-core must execute the operation; an error of the compiler is one, too."""
    try:
        operation = monitor.operation
        compilation = Compilation(
            run,
            custom_default=custom_default,
            conditions=operation.conditions,
            selections=operation.selections,
            monitor=monitor,
        )
        return Plan(compilation)
    except NotCompilable as reason:
        return str(reason)
    except GraphQLError:
        return "condition without a value"
    except RecursionError:
        return "too deep"
    except Exception as error:  # noqa: BLE001 - reported to the listeners
        return f"{FAILED}: {type(error).__name__}: {error}"


def _document_text(document: DocumentNode) -> object:
    """The document's text; for one that was not parsed, its identity."""
    return document.loc.source.body if document.loc else id(document)


def plan_cache(schema: GraphQLSchema) -> PlanCache:
    """The plan cache of a schema, stored on the schema."""
    cache: PlanCache | None = schema.__dict__.get(ATTRIBUTE)
    if cache is None:
        incremental = any(schema.get_directive(name) for name in ("defer", "stream"))
        cache = schema.__dict__.setdefault(ATTRIBUTE, PlanCache(incremental=incremental))
    return cache


def find_plan(
    run: PlanRun, document: DocumentNode, name: str | None, operation: CachedOperation | None
) -> Plan | None:
    """The plan for this execution; None when graphql-core must execute it, which is counted and reported."""
    cache = plan_cache(run.schema)
    plan = cache.find_plan(run, document, name, operation)
    if isinstance(plan, Plan):
        return plan
    record_fallback(plan, cache.find_operation(document, name), document, name)
    return None


def record_fallback(reason: str, operation: CachedOperation | None, document: DocumentNode, name: str | None) -> None:
    """Count the fallback; call the listeners the first time that an operation falls back."""
    # The text of an exception is for the listeners alone: as a key it would make the number of reasons unbounded.
    counters.fallen_back[FAILED if reason.startswith(FAILED) else reason] += 1
    if operation is not None and not operation.reported and reason != "compile time limit":
        operation.reported = True
        for listener in listeners:
            listener(Fallback(reason, name, document))
