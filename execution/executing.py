"""graphql-core's `execute` and `subscribe`, with the same arguments, by plans."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any

from graphql.execution import Executor
from graphql.execution import execute as EXECUTE, execute_sync as EXECUTE_SYNC, subscribe as SUBSCRIBE
from graphql import DocumentNode, ExecutionResult, GraphQLSchema
from graphql.execution import Executor

from execution.executors import Compiled, CompiledExecutor, CompiledSubscriber, compiled_class
from execution.plans import fall_back



def execute(
    schema: GraphQLSchema,
    document: DocumentNode,
    root_value: Any = None,
    context_value: Any = None,
    variable_values: dict[str, Any] | None = None,
    operation_name: str | None = None,
    *args: Any,
    executor_class: type[Executor[Any]] | None = None,
    **kwargs: Any,
) -> ExecutionResult | Awaitable[ExecutionResult]:
    """Execute a validated query or mutation: the arguments, result and errors are those of graphql-core's `execute`.

    Synchronous where all resolvers are.
    """
    return EXECUTE(
        schema,
        document,
        root_value,
        context_value,
        variable_values,
        operation_name,
        *args,
        executor_class=counterpart(executor_class, CompiledExecutor, document, operation_name),
        **kwargs,
    )


def execute_sync(
    schema: GraphQLSchema,
    document: DocumentNode,
    root_value: Any = None,
    context_value: Any = None,
    variable_values: dict[str, Any] | None = None,
    operation_name: str | None = None,
    *args: Any,
    executor_class: type[Executor[Any]] | None = None,
    **kwargs: Any,
) -> ExecutionResult:
    """Execute as graphql-core's `execute_sync` does."""
    return EXECUTE_SYNC(
        schema,
        document,
        root_value,
        context_value,
        variable_values,
        operation_name,
        *args,
        executor_class=counterpart(executor_class, CompiledExecutor, document, operation_name),
        **kwargs,
    )


def subscribe(
    schema: GraphQLSchema,
    document: DocumentNode,
    root_value: Any = None,
    context_value: Any = None,
    variable_values: dict[str, Any] | None = None,
    operation_name: str | None = None,
    *args: Any,
    executor_class: type[Executor[Any]] | None = None,
    **kwargs: Any,
) -> Any:
    """Subscribe as graphql-core's `subscribe` does; each event is executed by the plan."""
    return SUBSCRIBE(
        schema,
        document,
        root_value,
        context_value,
        variable_values,
        operation_name,
        *args,
        executor_class=counterpart(executor_class, CompiledSubscriber, document, operation_name),
        **kwargs,
    )


def counterpart(
    given: type[Executor[Any]] | None, default: type[Compiled], document: DocumentNode, name: str | None
) -> type[Executor[Any]]:
    """The class to execute with; one that only its author understands executes by itself."""
    found = compiled_class(given, default)
    if not issubclass(found, Compiled):
        fall_back("own executor class", None, document, name)
    return found
