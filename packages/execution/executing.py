"""`execute`, `execute_sync` and `subscribe` with the arguments of graphql-core's, by plans."""

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, TypeGuard

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLFieldResolver,
    GraphQLSchema,
    GraphQLTypeResolver,
    MiddlewareManager,
)
from graphql.execution import Executor
from graphql.execution import execute as execute_by_core
from graphql.execution import execute_sync as execute_sync_by_core
from graphql.execution import subscribe as subscribe_by_core

from execution.executors import CompiledExecutor, CompiledSubscriber, PlanExecutor, compiled_class
from execution.plans import record_fallback


def execute(
    schema: GraphQLSchema,
    document: DocumentNode,
    root_value: Any = None,
    context_value: Any = None,
    variable_values: dict[str, Any] | None = None,
    operation_name: str | None = None,
    field_resolver: GraphQLFieldResolver | None = None,
    type_resolver: GraphQLTypeResolver | None = None,
    subscribe_field_resolver: GraphQLFieldResolver | None = None,
    max_coercion_errors: int = 50,
    enable_early_execution: bool = False,
    middleware: tuple[Any, ...] | list[Any] | MiddlewareManager | None = None,
    executor_class: type[Executor[Any]] | None = None,
    is_awaitable: Callable[[Any], TypeGuard[Awaitable[Any]]] | None = None,
    is_async_iterable: Callable[[Any], TypeGuard[AsyncIterable[Any]]] | None = None,
    **options: Any,
) -> ExecutionResult | Awaitable[ExecutionResult]:
    """Execute a validated query or mutation: arguments, result and errors are those of graphql-core's `execute`.

    Returns the result itself where all resolvers are synchronous.
    """
    class_ = _compiled_executor_for(executor_class, CompiledExecutor, document, operation_name)
    arguments = (
        schema,
        document,
        root_value,
        context_value,
        variable_values,
        operation_name,
        field_resolver,
        type_resolver,
        subscribe_field_resolver,
        max_coercion_errors,
        enable_early_execution,
        middleware,
    )
    if issubclass(class_, PlanExecutor):
        prepared = class_.prepared(*arguments, is_awaitable, is_async_iterable, **options)
        if prepared is not None:
            executor, plan = prepared
            return executor.execute_plan(plan)
    return execute_by_core(*arguments, class_, is_awaitable, is_async_iterable, **options)


def execute_sync(
    schema: GraphQLSchema,
    document: DocumentNode,
    root_value: Any = None,
    context_value: Any = None,
    variable_values: dict[str, Any] | None = None,
    operation_name: str | None = None,
    field_resolver: GraphQLFieldResolver | None = None,
    type_resolver: GraphQLTypeResolver | None = None,
    max_coercion_errors: int = 50,
    middleware: tuple[Any, ...] | list[Any] | MiddlewareManager | None = None,
    executor_class: type[Executor[Any]] | None = None,
    check_sync: bool = False,
    **options: Any,
) -> ExecutionResult:
    """Execute as graphql-core's `execute_sync` does."""
    return execute_sync_by_core(
        schema,
        document,
        root_value,
        context_value,
        variable_values,
        operation_name,
        field_resolver,
        type_resolver,
        max_coercion_errors,
        middleware,
        _compiled_executor_for(executor_class, CompiledExecutor, document, operation_name),
        check_sync,
        **options,
    )


def subscribe(
    schema: GraphQLSchema,
    document: DocumentNode,
    root_value: Any = None,
    context_value: Any = None,
    variable_values: dict[str, Any] | None = None,
    operation_name: str | None = None,
    field_resolver: GraphQLFieldResolver | None = None,
    type_resolver: GraphQLTypeResolver | None = None,
    subscribe_field_resolver: GraphQLFieldResolver | None = None,
    max_coercion_errors: int = 50,
    enable_early_execution: bool = False,
    executor_class: type[Executor[Any]] | None = None,
    middleware: MiddlewareManager | None = None,
    **options: Any,
) -> Any:
    """Subscribe as graphql-core's `subscribe` does; each event is executed by the plan."""
    return subscribe_by_core(
        schema,
        document,
        root_value,
        context_value,
        variable_values,
        operation_name,
        field_resolver,
        type_resolver,
        subscribe_field_resolver,
        max_coercion_errors,
        enable_early_execution,
        _compiled_executor_for(executor_class, CompiledSubscriber, document, operation_name),
        middleware,
        **options,
    )


def _compiled_executor_for(
    requested: type[Executor[Any]] | None, default: type[PlanExecutor], document: DocumentNode, name: str | None
) -> type[Executor[Any]]:
    """The class to execute with; one that is neither ours nor graphql-core's stays as it is, and is counted."""
    executor = compiled_class(requested, default)
    if not issubclass(executor, PlanExecutor):
        record_fallback("custom executor class", None, document, name)
    return executor
