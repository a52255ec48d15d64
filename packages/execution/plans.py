"""The plans that are kept, and when a new one is made.

A document is compiled when it is seen for the second time, in a bounded share of the process's time, so that a stream
of documents that never come again costs nothing but what graphql-core costs. The newest plans are kept by the text of
their document, and found by the identity of the parsed document without comparing anything.
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
from execution.refusals import Refused, conditions
from execution.run import Run
from execution.variables import simple_variables

ATTRIBUTE: Final = "__compiled_operations__"
MOST_ALIASES: Final = 8
BURST_SECONDS: Final = 0.5
FAILED: Final = "compiler failed"


@dataclass(slots=True, kw_only=True)
class Limits:
    """What compiling may cost. `plans`, `fields` and `variants` bound the memory, `sights` and `share` the time."""

    plans: int = 1_000  # operations of a schema
    fields: int = 20_000  # in all plans of a schema, at some 3.5 KiB each
    variants: int = 8  # of one operation: by the values of the variables that @skip and @include look at
    seen: int = 10_000
    sights: int = 2  # a document is compiled when it is seen for that time
    share: float = 0.1  # of the time of one core, on average


@dataclass(frozen=True, slots=True)
class FallBack:
    """An operation that graphql-core runs, and why."""

    reason: str
    operation_name: str | None
    document: DocumentNode


@dataclass(slots=True)
class Counts:
    """What has happened in this process."""

    compiled: int = 0
    executed: int = 0
    seconds: float = 0.0
    fallen_back: Counter[str] = field(default_factory=Counter)


limits = Limits()
counts = Counts()
listeners: list[Callable[[FallBack], None]] = []


def statistics() -> dict[str, Any]:
    """How many plans were compiled and executed, and, by reason, how often graphql-core ran an operation instead.

    `first sight` and `budget` are no refusals: the document may be compiled the next time. `compiler failed` is there
    from the start, as a fault is worth an alarm, and alarms see changes.
    """
    return {
        "compiled": counts.compiled,
        "compiling_seconds": counts.seconds,
        "executed": counts.executed,
        "fallen_back": {FAILED: 0, **counts.fallen_back},
    }


def on_fall_back(listener: Callable[[FallBack], None]) -> None:
    """Call the listener once for each operation that is kept and cannot be compiled."""
    listeners.append(listener)


class Budget:
    """Seconds that compiling may take, saved up over time."""

    def __init__(self) -> None:
        self.seconds = BURST_SECONDS
        self.at = time.perf_counter()

    def allows(self) -> bool:
        """Whether there is time for one more plan."""
        now = time.perf_counter()
        self.seconds = min(BURST_SECONDS, self.seconds + (now - self.at) * limits.share)
        self.at = now
        return self.seconds > 0

    def spend(self, seconds: float) -> None:
        """Take the time that a plan took."""
        self.seconds -= seconds


budget = Budget()


class Operation:
    """An operation of a document, its conditions known, and the plans made of it so far."""

    __slots__ = (
        "aliases",
        "conditions",
        "document",
        "fields",
        "fragment_definitions",
        "fragments",
        "models",
        "name",
        "node",
        "plans",
        "refusal",
        "reported",
        "selections",
        "variables",
    )

    def __init__(self, document: DocumentNode, name: str | None, run: Run) -> None:
        self.document = document
        self.name = name
        self.conditions: tuple[str, ...] = ()
        self.plans: dict[tuple[Any, ...], Plan | str] = {}
        self.models: dict[type, Any] = {}
        self.refusal: str | None = None
        self.fields = 0
        self.selections = 0
        self.node = run.operation
        self.fragments = run.fragments
        self.fragment_definitions = run.fragment_definitions
        self.variables = simple_variables(run.schema, run.operation, run.variable_values)
        self.aliases: OrderedDict[int, None] = OrderedDict()
        self.reported = False

    def key(self, run: Run) -> tuple[Any, ...] | None:
        """What tells the plans of the operation apart; None where a condition has no value."""
        if not self.conditions:
            return (run.field_resolver is default_field_resolver, run.natives_key)
        coerced = run.variable_values.coerced
        values = [coerced.get(condition) for condition in self.conditions]
        if not all(value is True or value is False for value in values):
            return None
        return (run.field_resolver is default_field_resolver, run.natives_key, *values)

    def made(self, run: Run) -> "Plan | None":
        """The plan for this execution, if it was made before."""
        if self.refusal is not None:
            return None
        plan = self.plans.get(self.key(run) or ())
        return plan if isinstance(plan, Plan) else None


class Plans:
    """The plans of one schema. Threads may share them."""

    def __init__(self, *, incremental: bool = False) -> None:
        self.incremental = incremental  # the schema has @defer or @stream, which `execute` refuses
        self.lock = RLock()
        self.operations: OrderedDict[tuple[object, str | None], Operation] = OrderedDict()
        self.by_identity: dict[tuple[int, str | None], tuple[ref[DocumentNode], tuple[object, str | None]]] = {}
        self.seen: OrderedDict[tuple[int, str | None], int] = OrderedDict()
        self.fields = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return (partial(Plans, incremental=self.incremental), ())  # a copy of the schema starts without plans

    def find(self, run: Run, document: DocumentNode, name: str | None, operation: Operation | None) -> Plan | str:
        """The plan to execute, or why there is none."""
        operation = operation or self.wanted(run, document, name)
        if operation is None:
            return "first sight"
        if operation.refusal is not None:
            return operation.refusal
        key = operation.key(run)
        if key is None:
            return "condition without a value"
        plan = operation.plans.get(key)
        return self.compile(operation, key, run) if plan is None else plan

    def wanted(self, run: Run, document: DocumentNode, name: str | None) -> Operation | None:
        """The operation, kept from now on; None when it has not been seen often enough."""
        with self.lock:
            operation = self.operation(document, name)
            if operation is None and self.seen_enough(document, name):
                return self.keep(document, name, run)
            return operation

    def known(self, document: DocumentNode, name: str | None) -> Operation | None:
        """The operation, if it is kept and the document is one it came from."""
        with self.lock:
            alias = self.by_identity.get((id(document), name))
            if alias is None or alias[0]() is not document:
                return None
            self.operations.move_to_end(alias[1])
            return self.operations[alias[1]]

    def operation(self, document: DocumentNode, name: str | None) -> Operation | None:
        """The operation, if it is kept."""
        with self.lock:
            known = self.known(document, name)
            if known is not None:
                return known
            key = (text_of(document), name)
            operation = self.operations.get(key)
            if operation is None or operation.document != document:
                return None
            self.operations.move_to_end(key)
            self.know(operation, document, key)
            return operation

    def know(self, operation: Operation, document: DocumentNode, key: tuple[object, str | None]) -> None:
        """Find the operation by this parsed document, too."""
        alias = (id(document), operation.name)
        stale = self.by_identity.get(alias)
        if stale is not None and stale[1] in self.operations:
            self.operations[stale[1]].aliases.pop(id(document), None)
        self.by_identity[alias] = (ref(document), key)
        operation.aliases[id(document)] = None
        while len(operation.aliases) > MOST_ALIASES:
            oldest, _ = operation.aliases.popitem(last=False)
            self.by_identity.pop((oldest, operation.name), None)

    def seen_enough(self, document: DocumentNode, name: str | None) -> bool:
        """Whether the document comes for the second time; remembers that it came."""
        key = (hash(text_of(document)), name)
        times = self.seen.pop(key, 0) + 1
        if times >= limits.sights:
            return True
        self.seen[key] = times
        while len(self.seen) > limits.seen:
            self.seen.popitem(last=False)
        return False

    def keep(self, document: DocumentNode, name: str | None, run: Run) -> Operation:
        """Keep the operation, and forget the one that was not asked for the longest."""
        key = (text_of(document), name)
        self.forget(key)
        operation = Operation(document, name, run)
        try:
            operation.conditions, operation.selections = conditions(document, run.operation)
        except Refused as refused:
            operation.refusal = str(refused)
        self.operations[key] = operation
        self.know(operation, document, key)
        while len(self.operations) > limits.plans:
            self.forget(next(iter(self.operations)))
        return operation

    def weigh(self, operation: Operation, fields: int) -> None:
        """Count the fields of a plan, and make room for them."""
        if self.operations.get((text_of(operation.document), operation.name)) is not operation:
            return  # another thread has made room of it meanwhile
        operation.fields += fields
        self.fields += fields
        while self.fields > limits.fields and len(self.operations) > 1:
            self.forget(next(iter(self.operations)))

    def forget(self, key: tuple[object, str | None]) -> None:
        """Drop the operation, if it is kept."""
        operation = self.operations.pop(key, None)
        if operation is not None:
            self.fields -= operation.fields
            for alias in operation.aliases:
                self.by_identity.pop((alias, operation.name), None)

    def compile(self, operation: Operation, key: tuple[Any, ...], run: Run) -> Plan | str:
        """Make a plan, if there is time; a refusal is kept as one."""
        with self.lock:
            plan = operation.plans.get(key)
            if plan is not None:  # another thread has made it meanwhile
                return plan
            if len(operation.plans) >= limits.variants:
                return "too many variants"
            if not budget.allows():
                return "budget"
            started = time.perf_counter()
            plan = compiled(run, Later(self, operation), custom_default=not key[0])
            if isinstance(plan, Plan):
                counts.compiled += 1
                self.weigh(operation, plan.compilation.fields + plan.compilation.repeated)
            spent = time.perf_counter() - started
            counts.seconds += spent
            budget.spend(spent)
            operation.plans[key] = plan
            return plan


class Later:
    """Counts what is compiled of an operation after its plan was made."""

    def __init__(self, plans: Plans, operation: Operation) -> None:
        self.plans = plans
        self.operation = operation

    def allows(self) -> bool:
        """Whether there is time."""
        return budget.allows()

    def spent(self, seconds: float, fields: int) -> None:
        """Take the time, and make room for the fields."""
        counts.seconds += seconds
        budget.spend(seconds)
        with self.plans.lock:
            self.plans.weigh(self.operation, fields)

    def failed(self, error: Exception) -> None:
        """Report a fault."""
        operation = self.operation
        fall_back(f"{FAILED}: {type(error).__name__}: {error}", operation, operation.document, operation.name)


def compiled(run: Run, ledger: Later, *, custom_default: bool) -> Plan | str:
    """A plan, or why there is none. A fault of the compiler's is reported, and costs nobody an answer."""
    try:
        operation = ledger.operation
        compilation = Compilation(
            run,
            custom_default=custom_default,
            conditions=operation.conditions,
            selections=operation.selections,
            ledger=ledger,
        )
        return Plan(compilation)
    except Refused as refused:
        return str(refused)
    except GraphQLError:
        return "condition without a value"
    except RecursionError:
        return "too deep"
    except Exception as error:  # noqa: BLE001 - listeners are told
        return f"{FAILED}: {type(error).__name__}: {error}"


def text_of(document: DocumentNode) -> object:
    """The document's text; for one that was not parsed, its identity."""
    return document.loc.source.body if document.loc else id(document)


def plans_of(schema: GraphQLSchema) -> Plans:
    """The plans of a schema; they live as long as it."""
    plans: Plans | None = schema.__dict__.get(ATTRIBUTE)
    if plans is None:
        incremental = any(schema.get_directive(name) for name in ("defer", "stream"))
        plans = schema.__dict__.setdefault(ATTRIBUTE, Plans(incremental=incremental))
    return plans


def find(run: Run, document: DocumentNode, name: str | None, operation: Operation | None) -> Plan | None:
    """The plan for this execution, or None when graphql-core is to execute it; counts and reports why."""
    plans = plans_of(run.schema)
    found = plans.find(run, document, name, operation)
    if isinstance(found, Plan):
        return found
    fall_back(found, plans.operation(document, name), document, name)
    return None


def fall_back(reason: str, operation: Operation | None, document: DocumentNode, name: str | None) -> None:
    """Count, and tell the listeners the first time."""
    # What an exception says is for them: counted by that, there would be no end of reasons.
    counts.fallen_back[FAILED if reason.startswith(FAILED) else reason] += 1
    if operation is not None and not operation.reported and reason != "budget":
        operation.reported = True
        for listener in listeners:
            listener(FallBack(reason, name, document))
