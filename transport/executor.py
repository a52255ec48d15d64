"""Runs operations: the same steps for HTTP and for the WebSocket."""

import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

import strawberry
from graphql import ExecutionResult, GraphQLError, OperationType
from strawberry.execution import optimized_is_awaitable

import execution
from core.access.permissions import Permission
from core.errors import Unauthenticated
from resolvers.budgets import Balance, Budgets
from resolvers.context import RequestContext
from settings import Settings
from transport.documents import DocumentCache, DocumentInvalid, PreparedOperation, costs
from transport.documents.cost_analysis import required_permission
from transport.documents.variables import check_variables
from transport.errors import (
    COST_EXCEEDED,
    INTERNAL,
    RATE_LIMITED,
    UNAUTHENTICATED,
    UNAVAILABLE_STATUS,
    RequestRefused,
    format_error,
)
from transport.requests import GraphQLRequest

RATE_LIMITED_STATUS = 429
is_awaitable = cast("Callable[[object], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLResponse:
    """The response to the client. `executed` is false when the request was refused before it ran.

    `balance` is the state of the budget after the request; None when the request could not be read.
    """

    body: dict[str, Any]
    executed: bool = True
    status: int = 200
    retry_after: int = 0
    balance: Balance | None = None


class Executor:
    """Turns requests into responses, under the limits and budgets of this process."""

    def __init__(self, schema: strawberry.Schema, settings: Settings, budgets: Budgets) -> None:
        self.schema = schema._schema  # noqa: SLF001 - strawberry has no public name for the core schema
        self.executor_class = schema.execution_context_class
        self.settings = settings
        self.budgets = budgets
        self.documents = DocumentCache(self.schema, settings.graphql)

    def prepare(self, request: GraphQLRequest, context: RequestContext) -> PreparedOperation:
        """The operation to run; raises `DocumentInvalid` or `RequestRefused`. Charges for parsing a new document."""
        self._spend(self.documents.parse_cost(request.query), context)
        operation = self.documents.operation(request.query, request.operation_name)
        if operation.introspects and context.actor is None and not self.settings.introspection:
            raise RequestRefused("Introspection requires an access token.", code=UNAUTHENTICATED)
        check_variables(operation.variable_uses, request.variables)
        return operation

    def charge(self, operation: PreparedOperation, request: GraphQLRequest, context: RequestContext) -> int:
        """Take the operation's highest cost from the caller's budget; raises `RequestRefused`."""
        points = operation.max_cost
        if points is None:
            points = costs.requested(operation.cost_nodes, request.variables)
        limit = self.settings.graphql.max_cost
        if points > limit:
            raise RequestRefused(
                f"The operation costs up to {points} points; the limit is {limit}. Request fewer items at once.",
                code=COST_EXCEEDED,
            )
        self._spend(points, context)
        return points

    def _spend(self, points: int, context: RequestContext) -> None:
        """Take points from the caller's budget; raises `RequestRefused` when it has fewer."""
        if points and not self.budgets.charge(context.budget_key, points):
            balance = self.budgets.balance(context.budget_key)
            wait = max(1, math.ceil(balance.ends_at - context.started_at))
            raise RequestRefused(
                f"The budget of {balance.limit} points a minute is used up; this operation requires {points}.",
                code=RATE_LIMITED,
                status=RATE_LIMITED_STATUS,
                retry_after=wait,
            )

    def required_permission(self, operation: PreparedOperation) -> Permission | None:
        """The permission of an operation's first root field; None unless every root field requires one."""
        root, node = self.schema.get_root_type(operation.kind), operation.protected_field
        return None if root is None or node is None else required_permission(root, node)

    async def run(
        self, request: GraphQLRequest, context: RequestContext, *, mutations: bool = True
    ) -> GraphQLResponse:
        """The response to a query or mutation, also when it is refused."""
        try:
            operation = self.prepare(request, context)
            _require_kind(operation, mutations=mutations)
            points = self.charge(operation, request, context)
        except DocumentInvalid as invalid:
            balance = self.budgets.balance(context.budget_key)
            return error_response(self._format_errors(invalid.errors, context), 400, balance=balance)
        except RequestRefused as refusal:
            error, balance = refusal.to_dict(context.request_id), self.budgets.balance(context.budget_key)
            return error_response([error], refusal.status, refusal.retry_after, balance=balance)
        return await self.execute(operation, request, context, points)

    def _format_errors(self, errors: Sequence[GraphQLError], context: RequestContext) -> list[dict[str, Any]]:
        """The errors of a document or of its variables, in JSON form."""
        formatted = [format_error(error, context.request_id) for error in errors]
        if context.actor is None and not self.settings.introspection:
            # Suggestions would disclose the schema, name by name, to unauthenticated clients.
            return [{**error, "message": error["message"].partition(" Did you mean")[0]} for error in formatted]
        return formatted

    async def execute(
        self, operation: PreparedOperation, request: GraphQLRequest, context: RequestContext, points: int
    ) -> GraphQLResponse:
        """Run a query or mutation that was charged `points`."""
        result = _unauthenticated_result(operation, context) or execution.execute(
            self.schema,
            operation.document,
            context_value=context,
            variable_values=request.variables,
            operation_name=operation.name,
            executor_class=self.executor_class,
            is_awaitable=is_awaitable,
        )
        done = result if isinstance(result, ExecutionResult) else await result
        spent = costs.actual(operation.cost_nodes, done.data)
        balance = self.budgets.refund(context.budget_key, points - spent)
        if done.data is None and not _has_field_error(done):
            # Invalid variables: nothing ran, so the response has no `data` at all.
            return error_response(self._format_errors(done.errors or [], context), 400, balance=balance)
        body = {**result_body(done, context), "extensions": {"cost": _cost_extension(points, spent, balance)}}
        status, wait = status_of(body)
        return GraphQLResponse(body=body, status=status, retry_after=wait, balance=balance)

    async def subscribe(
        self, operation: PreparedOperation, request: GraphQLRequest, context: RequestContext
    ) -> AsyncIterator[ExecutionResult] | ExecutionResult:
        """The events of a charged subscription, or one result with the errors that prevent it."""
        result: Any = execution.subscribe(
            self.schema,
            operation.document,
            context_value=context,
            variable_values=request.variables,
            operation_name=operation.name,
            executor_class=self.executor_class,
        )
        source: AsyncIterator[ExecutionResult] | ExecutionResult
        source = await result if inspect.isawaitable(result) else result
        return source


def _require_kind(operation: PreparedOperation, *, mutations: bool) -> None:
    """Raise `RequestRefused` for an operation that this HTTP method does not serve."""
    if operation.kind is OperationType.SUBSCRIPTION:
        raise RequestRefused("Subscriptions require a WebSocket: graphql-transport-ws on the same URL.")
    if operation.kind is OperationType.MUTATION and not mutations:
        raise RequestRefused("Mutations require POST.", status=405)


def _unauthenticated_result(operation: PreparedOperation, context: RequestContext) -> ExecutionResult | None:
    """The result when every root field needs an authenticated caller and there is none; variables are not parsed."""
    node = operation.protected_field
    if node is None or context.actor is not None:
        return None
    try:
        context.caller  # noqa: B018 - it raises
    except Unauthenticated as error:
        path = [node.alias.value if node.alias else node.name.value]
        # The traceback refers to this request: with it, the result would be part of a reference cycle.
        original = error.with_traceback(None)
        return ExecutionResult(None, [GraphQLError(str(error), [node], path=path, original_error=original)])
    return None


def error_response(
    errors: list[dict[str, Any]], status: int, retry_after: int = 0, *, balance: Balance | None = None
) -> GraphQLResponse:
    """The response to a request that did not run."""
    return GraphQLResponse(
        body={"errors": errors}, executed=False, status=status, retry_after=retry_after, balance=balance
    )


def result_body(result: ExecutionResult, context: RequestContext) -> dict[str, Any]:
    """The JSON form of a result, without extensions."""
    if result.errors:
        return {"data": result.data, "errors": [format_error(error, context.request_id) for error in result.errors]}
    return {"data": result.data}


def status_of(body: dict[str, Any]) -> tuple[int, int]:
    """The HTTP status of a result, and the seconds after which to retry, 0 where that does not apply.

    503 when there is no data because a service was unavailable, 429 when there is none because of a rate limit.
    """
    if "errors" not in body or any(value is not None for value in (body["data"] or {}).values()):
        return 200, 0
    extensions = [error["extensions"] for error in body["errors"]]
    for code, status in ((INTERNAL, UNAVAILABLE_STATUS), (RATE_LIMITED, RATE_LIMITED_STATUS)):
        wait = max((each.get("retryAfter", 0) for each in extensions if each["code"] == code), default=0)
        if wait:
            return status, wait
    return 200, 0


def _has_field_error(result: ExecutionResult) -> bool:
    """Whether any error occurred in a field, and not before execution began."""
    errors: list[GraphQLError] = result.errors or []
    return any(error.path is not None for error in errors)


def _cost_extension(requested: int, actual: int, balance: Balance) -> dict[str, Any]:
    """The value of `extensions.cost`."""
    return {
        "requested": requested,
        "actual": actual,
        "limit": balance.limit,
        "remaining": balance.remaining,
        "resetAt": balance.reset_at,
    }
