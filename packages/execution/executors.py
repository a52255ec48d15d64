"""Executors for graphql-core and Strawberry that run plans; operations without a plan are run by graphql-core.

They are values for `executor_class` of graphql-core's `execute` and `subscribe`, and for `execution_context_class` of
Strawberry's `Schema`. Variables, errors and hooks are graphql-core's. Whether there is a plan is decided before the
first field is executed.
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
from execution.plans import CachedOperation, counters, find_plan, plan_cache, record_fallback
from execution.run import PlanRun
from execution.strawberry_private import (
    StrawberryExecutor,
    StrawberryInfoExecutor,
    is_constant_false,
    strawberry_is_awaitable,
)
from execution.variables import coerce_simple_variables

# Predicates whose results for plain values and coroutines are known; generated code relies on them.
KNOWN_IS_AWAITABLE: Final[tuple[Callable[..., Any], ...]] = (is_awaitable, strawberry_is_awaitable)
KNOWN_IS_ASYNC_ITERABLE: Final[tuple[Callable[..., Any], ...]] = (is_async_iterable, assume_not_async_iterable)
PER_EXECUTION_ATTRIBUTES: Final = frozenset(
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
# Resolvers and middleware among the arguments of `prepared`: they may refer to a request, which templates outlive.
CALLER_ARGUMENTS: Final = (0, 1, 2, 5)
MAX_TEMPLATES: Final = 4
# Methods that subclasses may override without preventing plans.
OVERRIDABLE: Final = frozenset(vars(object)) | {"build", "build_per_event_executor", "execute_operation"}


class PlanExecutor(PlanRun):
    """Base of our executors: executes an operation by its plan where there is one."""

    plan: Plan | None = None
    # The class for operations that can be compiled: without the state for incremental delivery.
    light_class: ClassVar[type["PlanExecutor"] | None] = None
    # Whether the class overrides no method of graphql-core's, so that a cached plan can be executed at once.
    has_no_overrides: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        bases = [base for base in cls.__mro__[: cls.__mro__.index(PlanExecutor)] if base.__module__ != __name__]
        names = {name for base in (cls, *bases) for name in vars(base)}
        own = {name for name in names if callable(getattr(cls, name)) and hasattr(Executor, name)}
        cls.overrides_execution = cls.overrides_execution or not own <= OVERRIDABLE
        cls.has_no_overrides = not own
        if cls.light_class is not None:
            same = not own and cls.__init__ is cls.__mro__[1].__init__  # type: ignore[misc]
            cls.light_class = (
                type(cls.__name__, (cls.light_class,), {"encoder_scalars": cls.encoder_scalars}) if same else None
            )

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
        """An executor, with its plan if there is one, or the errors of the request."""
        operation = plan_cache(schema).lookup(document, operation_name)
        built: Any = None
        if operation is not None and operation.variables is not None:
            values = coerce_simple_variables(operation.variables, raw_variable_values or {})
            if values is not None:
                built = cls.build_known(operation, values, schema, root_value, context_value, *args, **kwargs)
        if built is None:
            built = super().build(
                schema, document, root_value, context_value, raw_variable_values, operation_name, *args, **kwargs
            )
        if isinstance(built, PlanExecutor):
            reason = built.unsupported_feature()
            if reason is None:
                built.plan = find_plan(built, document, operation_name, operation)
            else:
                record_fallback(reason, None, document, operation_name)
        return built

    @classmethod
    def prepared(
        cls,
        schema: GraphQLSchema,
        document: DocumentNode,
        root_value: Any,
        context_value: Any,
        raw_variable_values: dict[str, Any] | None,
        operation_name: str | None,
        *args: Any,
        **kwargs: Any,
    ) -> "tuple[PlanExecutor, Plan] | None":
        """An executor and the plan of an operation that is cached; None, without counting, for any other.

        graphql-core's checks before it builds an executor were made when the plan was made.
        """
        cache = plan_cache(schema)
        operation = cache.lookup(document, operation_name) if cls.has_no_overrides and not cache.incremental else None
        if operation is None or operation.variables is None or not operation.plans:
            return None
        values = coerce_simple_variables(operation.variables, raw_variable_values or {})
        if values is None:
            return None
        template = operation.templates.get(cls)
        if template is not None and not kwargs and template.arguments == args:
            built = template.copy(root_value, context_value, values)
        else:
            built = cls.build_known(operation, values, schema, root_value, context_value, *args, **kwargs)
            if built is None or built.unsupported_feature() is not None:
                return None
            if not kwargs and not any(args[index] is not None for index in CALLER_ARGUMENTS):
                if len(operation.templates) >= MAX_TEMPLATES:
                    operation.templates.clear()  # in one step, since other threads may do the same
                operation.templates[cls] = ExecutorTemplate(built, args)
        plan = built.plan = operation.existing_plan(built)
        return (built, plan) if plan is not None else None

    @classmethod
    def build_known(
        cls,
        operation: CachedOperation,
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
        """An executor for a cached operation; None for middleware that graphql-core must check."""
        if middleware is not None and not isinstance(middleware, MiddlewareManager):
            return None
        light_class = cls.light_class if operation.not_compilable is None else None
        return (light_class or cls)(
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
        """Helpers for resolvers: bound methods of this executor; stored, they would make a reference cycle."""
        return GraphQLResolveInfoHelpers(gather=self.gather_async_work, track=self.track_async_work)

    @async_helpers.setter
    def async_helpers(self, _: GraphQLResolveInfoHelpers) -> None:
        """Store nothing."""

    def unsupported_feature(self) -> str | None:
        """The reason why plans don't support this execution; None when they do."""
        if self.overrides_execution:
            return "custom executor class"
        if self.middleware_manager is not None and self.middleware_manager.middlewares:
            return "middleware"
        if self.abort_signal is not None:
            return "abort signal"
        self.awaits = self.is_awaitable is not assume_not_awaitable
        if self.awaits and self.is_awaitable not in KNOWN_IS_AWAITABLE:
            return "custom is_awaitable"
        iterates = self.is_async_iterable
        if iterates not in KNOWN_IS_ASYNC_ITERABLE and not is_constant_false(iterates):
            return "custom is_async_iterable"
        return None

    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        """The executor of one event of a subscription."""
        executor = super().build_per_event_executor(payload)
        if isinstance(executor, PlanRun):
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
        counters.executed += 1
        try:
            data = plan.execute(self, self.root_value, None)
        except GraphQLError as error:
            return self._error_result(error)
        if type(data) is CoroutineType:
            return self._await_result(data)
        return self._result(data)

    async def _await_result(self, data: Coroutine[Any, Any, dict[str, Any]]) -> ExecutionResult:
        """The result of data that is awaited."""
        try:
            return self._result(await data)
        except GraphQLError as error:
            return self._error_result(error)
        except Exception:
            self.run_async_work_finished_hook()
            raise

    def _error_result(self, error: GraphQLError) -> ExecutionResult:
        """The result when an error propagated to the root."""
        self.collected_errors.add(error, None)
        return self._result(None)

    def _result(self, data: dict[str, Any] | None) -> ExecutionResult:
        """The result with its errors."""
        self.run_async_work_finished_hook()
        # The infos refer to this executor by their helpers, see `async_helpers`.
        self.info_class, self.info_rest, self.finished = None, (), True
        errors = self.collected_errors.errors
        # The tracebacks of errors refer to this executor: keeping them would make a reference cycle.
        self.collected_errors = CollectedErrors()
        return ExecutionResult(data, errors or None)


class ExecutorTemplate:
    """An executor without the state of one execution, to be copied for the next one with the same arguments.

    It is copied as graphql-core does for each event of a subscription; copies share no mutable state.
    """

    __slots__ = ("arguments", "cls", "state")

    def __init__(self, executor: PlanExecutor, arguments: tuple[Any, ...]) -> None:
        self.cls = type(executor)
        self.arguments = arguments
        self.state = {name: value for name, value in vars(executor).items() if name not in PER_EXECUTION_ATTRIBUTES}

    def copy(self, root_value: Any, context_value: Any, values: VariableValues) -> PlanExecutor:
        """An executor for one execution."""
        executor = self.cls.__new__(self.cls)
        executor.__dict__.update(self.state)
        executor.root_value = root_value
        executor.context_value = context_value
        executor.variable_values = values
        executor.collected_errors = CollectedErrors()
        executor.pending_incremental_futures = set()
        executor.background_futures = set()
        executor._relevant_sub_fields = {}  # noqa: SLF001 - as graphql-core does
        executor._stream_usages = RefMap()  # noqa: SLF001 - as graphql-core does
        return executor


class LightExecutor(PlanExecutor, Executor[Any]):
    """Used instead of `CompiledExecutor` for operations that can be compiled."""


class CompiledExecutor(PlanExecutor, IncrementalExecutor):
    """The executor class for `execute`."""


CompiledExecutor.light_class = LightExecutor


class CompiledSubscriber(PlanExecutor, ExecutorThrowingOnIncremental):
    """The executor class for `subscribe`."""


class LightStrawberryExecutor(PlanExecutor, StrawberryInfoExecutor):
    """Used instead of `CompiledStrawberryExecutor` for operations that can be compiled."""


class CompiledStrawberryExecutor(PlanExecutor, StrawberryExecutor):
    """The executor class for Strawberry: `Schema(execution_context_class=CompiledStrawberryExecutor)`."""


CompiledStrawberryExecutor.light_class = LightStrawberryExecutor


def compiled_class(executor_class: type[Executor[Any]] | None, default: type[PlanExecutor]) -> type[Executor[Any]]:
    """Our class for an executor class of graphql-core or Strawberry; any other class is returned as it is."""
    if executor_class is None:
        return default
    if executor_class is StrawberryExecutor:
        return CompiledStrawberryExecutor
    if executor_class is IncrementalExecutor:
        return CompiledExecutor
    return CompiledSubscriber if executor_class is ExecutorThrowingOnIncremental else executor_class
