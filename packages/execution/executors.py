"""Executors for graphql-core (and Strawberry) that run plans, and leave to graphql-core what has none.

`executor_class` of graphql-core's `execute` and `subscribe`, and `execution_context_class` of Strawberry's `Schema`,
take these classes. What an execution needs (variables, errors, hooks) is graphql-core's, so what is left to it is
left before the first field is executed.
"""

from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, ClassVar, Final

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLFieldResolver,
    GraphQLResolveInfoHelpers,
    GraphQLSchema,
    GraphQLTypeResolver,
    MiddlewareManager,
)
from graphql.execution import (
    ExperimentalIncrementalExecutionResults,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution.execute import assume_not_async_iterable, assume_not_awaitable
from graphql.execution.executor import CollectedErrors, Executor
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from graphql.execution.incremental import IncrementalExecutor
from graphql.execution.values import VariableValues
from graphql.pyutils import AwaitableOrValue, RefMap
from graphql.pyutils.is_awaitable import is_async_iterable, is_awaitable

from execution.compiling import Plan
from execution.plans import Operation, counts, fall_back, find, plans_of
from execution.run import Run
from execution.strawberry_private import InfoMaker, StrawberryExecutor, awaitable, says_no_to_streams
from execution.variables import coerced

# The predicates whose answers for plain values and coroutines are known; generated code relies on them.
AWAITING: Final[tuple[Callable[..., Any], ...]] = (is_awaitable, awaitable)
ITERATING: Final[tuple[Callable[..., Any], ...]] = (is_async_iterable, assume_not_async_iterable)
# What subclasses may override without keeping plans from running.
OF_ONE_EXECUTION: Final = frozenset(
    {
        "background_futures",
        "collected_errors",
        "context_value",
        "info_class",
        "info_rest",
        "pending_incremental_futures",
        "plan",
        "root_value",
        "variable_values",
        "_relevant_sub_fields",
        "_stream_usages",
    }
)
# Resolvers and middleware among the arguments of `planned`: they may hold a request, and a model outlives it.
OF_THE_CALLER: Final = (0, 1, 2, 5)
MOST_MODELS: Final = 4
MAY_BE_OWN: Final = frozenset(vars(object)) | {"build", "build_per_event_executor", "execute_operation"}


class Compiled(Run):
    """Executes by a plan where there is one."""

    plan: Plan | None = None
    # What executes operations that can be compiled: without what incremental delivery needs.
    lighter: ClassVar[type["Compiled"] | None] = None
    # Whether nothing of the class has to be asked before a plan that is there is executed.
    direct: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        bases = [base for base in cls.__mro__[: cls.__mro__.index(Compiled)] if base.__module__ != __name__]
        names = {name for base in (cls, *bases) for name in vars(base)}
        own = {name for name in names if callable(getattr(cls, name)) and hasattr(Executor, name)}
        cls.altered = cls.altered or not own <= MAY_BE_OWN
        cls.direct = not own
        if cls.lighter is not None:
            alike = not own and cls.__init__ is cls.__mro__[1].__init__  # type: ignore[misc]
            cls.lighter = type(cls.__name__, (cls.lighter,), {"natives": cls.natives}) if alike else None

    @classmethod
    def build(
        cls,
        schema: GraphQLSchema,
        document: DocumentNode,
        root_value: Any = None,
        context_value: Any = None,
        raw_variable_values: dict[str, Any] | None = None,
        operation_name: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """An executor with its plan, or the errors of the request."""
        operation = plans_of(schema).known(document, operation_name)
        built: Any = None
        if operation is not None and operation.variables is not None:
            values = coerced(operation.variables, raw_variable_values or {})
            if values is not None:
                built = cls.made(operation, values, schema, root_value, context_value, *args, **kwargs)
        if built is None:
            built = super().build(
                schema, document, root_value, context_value, raw_variable_values, operation_name, *args, **kwargs
            )
        if isinstance(built, Compiled):
            reason = built.unknown()
            if reason is None:
                built.plan = find(built, document, operation_name, operation)
            else:
                fall_back(reason, None, document, operation_name)
        return built

    @classmethod
    def planned(
        cls,
        schema: GraphQLSchema,
        document: DocumentNode,
        root_value: Any,
        context_value: Any,
        raw_variable_values: dict[str, Any] | None,
        operation_name: str | None,
        *args: Any,
        **kwargs: Any,
    ) -> "tuple[Compiled, Plan] | None":
        """An executor and the plan, where that is there already; None for any other, of which nothing is counted.

        What graphql-core looks at before it builds an executor has been looked at when the plan was made.
        """
        plans = plans_of(schema)
        operation = plans.known(document, operation_name) if cls.direct and not plans.incremental else None
        if operation is None or operation.variables is None or not operation.plans:
            return None
        values = coerced(operation.variables, raw_variable_values or {})
        if values is None:
            return None
        model = operation.models.get(cls)
        if model is not None and not kwargs and model.given == args:
            built = model.copy(root_value, context_value, values)
        else:
            built = cls.made(operation, values, schema, root_value, context_value, *args, **kwargs)
            if built is None or built.unknown() is not None:
                return None
            if not kwargs and not any(args[index] is not None for index in OF_THE_CALLER):
                if len(operation.models) >= MOST_MODELS:
                    operation.models.clear()  # at once, as other threads may do the same
                operation.models[cls] = Model(built, args)
        plan = built.plan = operation.made(built)
        return (built, plan) if plan is not None else None

    @classmethod
    def made(
        cls,
        operation: Operation,
        values: VariableValues,
        schema: GraphQLSchema,
        root_value: Any,
        context_value: Any,
        field_resolver: GraphQLFieldResolver | None = None,
        type_resolver: GraphQLTypeResolver | None = None,
        subscribe_field_resolver: GraphQLFieldResolver | None = None,
        _max_coercion_errors: int = 50,
        enable_early_execution: bool = False,
        middleware: Any = None,
        *predicates: Any,
        **kwargs: Any,
    ) -> Any:
        """An executor for an operation that is known; None where there is more to say about it."""
        if middleware is not None and not isinstance(middleware, MiddlewareManager):
            return None
        lighter = cls.lighter if operation.refusal is None else None
        return (lighter or cls)(
            schema,
            operation.fragment_definitions,
            operation.fragments,
            root_value,
            context_value,
            operation.node,
            values,
            field_resolver or default_field_resolver,
            type_resolver or default_type_resolver,
            subscribe_field_resolver or default_field_resolver,
            enable_early_execution,
            middleware,
            *predicates,
            **kwargs,
        )

    @property
    def async_helpers(self) -> GraphQLResolveInfoHelpers:
        """Helpers for resolvers: methods of this executor, which would keep itself alive if it held them."""
        return GraphQLResolveInfoHelpers(gather=self.gather_async_work, track=self.track_async_work)

    @async_helpers.setter
    def async_helpers(self, _: GraphQLResolveInfoHelpers) -> None:
        """Hold none."""

    def unknown(self) -> str | None:
        """What the caller has asked for that plans don't know; None when there is nothing of the kind."""
        if self.altered:
            return "own executor class"
        if self.middleware_manager is not None and self.middleware_manager.middlewares:
            return "middleware"
        if self.abort_signal is not None:
            return "abort signal"
        self.awaits = self.is_awaitable is not assume_not_awaitable
        if self.awaits and self.is_awaitable not in AWAITING:
            return "own is_awaitable"
        iterates = self.is_async_iterable
        if iterates not in ITERATING and not says_no_to_streams(iterates):
            return "own is_async_iterable"
        return None

    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        """The executor of one event of a subscription."""
        executor = super().build_per_event_executor(payload)
        if isinstance(executor, Run):
            executor.info_class = None
        return executor

    def execute_operation(
        self, serially: bool | None = None
    ) -> AwaitableOrValue[ExecutionResult | ExperimentalIncrementalExecutionResults]:
        """The result, or an awaitable of it."""
        plan = self.plan
        if plan is None or (serially is not None and serially is not plan.serial):
            return super().execute_operation(serially)
        return self.execute_plan(plan)

    def execute_plan(self, plan: Plan) -> AwaitableOrValue[ExecutionResult]:
        """The result of the plan, or an awaitable of it."""
        counts.executed += 1
        try:
            data = plan.execute(self, self.root_value, None)
        except GraphQLError as error:
            return self.failed(error)
        if type(data) is CoroutineType:
            return self.awaited(data)
        return self.succeeded(data)

    async def awaited(self, data: Coroutine[Any, Any, dict[str, Any]]) -> ExecutionResult:
        """The result, once its data have come."""
        try:
            return self.succeeded(await data)
        except GraphQLError as error:
            return self.failed(error)
        except Exception:
            self.run_async_work_finished_hook()
            raise

    def failed(self, error: GraphQLError) -> ExecutionResult:
        """The result when the error reached the root."""
        self.collected_errors.add(error, None)
        return self.succeeded(None)

    def succeeded(self, data: dict[str, Any] | None) -> ExecutionResult:
        """The result with its errors."""
        self.run_async_work_finished_hook()
        # Infos have helpers, see `async_helpers`.
        self.info_class, self.info_rest, self.over = None, (), True
        errors = self.collected_errors.errors
        # The tracebacks of errors lead to this executor, which would then hold them in a circle.
        self.collected_errors = CollectedErrors()
        return ExecutionResult(data, errors or None)


class Model:
    """An executor without what belongs to one execution, to be copied for the next one that is `given` the same.

    A copy is made as graphql-core makes one for each event of a subscription, with nothing shared that changes.
    """

    __slots__ = ("cls", "given", "state")

    def __init__(self, executor: Compiled, given: tuple[Any, ...]) -> None:
        self.cls = type(executor)
        self.given = given
        self.state = {name: value for name, value in vars(executor).items() if name not in OF_ONE_EXECUTION}

    def copy(self, root_value: Any, context_value: Any, values: VariableValues) -> Compiled:
        """An executor for one execution."""
        made = self.cls.__new__(self.cls)
        made.__dict__.update(self.state)
        made.root_value = root_value
        made.context_value = context_value
        made.variable_values = values
        made.collected_errors = CollectedErrors()
        made.pending_incremental_futures = set()
        made.background_futures = set()
        made._relevant_sub_fields = {}  # noqa: SLF001 - see above
        made._stream_usages = RefMap()  # noqa: SLF001 - see above
        return made


class Plain(Compiled, Executor[Any]):
    """Stands in for `CompiledExecutor` where an operation can be compiled."""


class CompiledExecutor(Compiled, IncrementalExecutor):
    """For `execute`."""


CompiledExecutor.lighter = Plain


class CompiledSubscriber(Compiled, ExecutorThrowingOnIncremental):
    """For `subscribe`."""


class StrawberryPlain(Compiled, InfoMaker):
    """Stands in for `CompiledStrawberryExecutor` where an operation can be compiled."""


class CompiledStrawberryExecutor(Compiled, StrawberryExecutor):
    """For Strawberry: `Schema(execution_context_class=CompiledStrawberryExecutor)`."""


CompiledStrawberryExecutor.lighter = StrawberryPlain


def compiled_class(given: type[Executor[Any]] | None, default: type[Compiled]) -> type[Executor[Any]]:
    """The compiled counterpart of an executor class; one that has none is left as it is."""
    if given is None:
        return default
    if given is StrawberryExecutor:
        return CompiledStrawberryExecutor
    if given is IncrementalExecutor:
        return CompiledExecutor
    return CompiledSubscriber if given is ExecutorThrowingOnIncremental else given
