"""Running an operation: the same steps for HTTP and for the socket."""

import inspect
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
from transport.documents import DocumentInvalid, Documents, Operation, costs
from transport.documents.planning import required
from transport.documents.variables import check_variables
from transport.errors import (
    AWAY_STATUS,
    COST_EXCEEDED,
    INTERNAL,
    RATE_LIMITED,
    UNAUTHENTICATED,
    Refused,
    formatted,
)

TOO_MANY_STATUS = 429
is_awaitable = cast("Callable[[object], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A well-formed GraphQL request."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back to the client. `executed` is false when the request was refused before it ran."""

    body: dict[str, Any]
    executed: bool = True
    status: int = 200
    retry_after: int = 0


class Executor:
    """Turns requests into answers, under the limits and budgets of this process."""

    def __init__(self, schema: strawberry.Schema, settings: Settings, budgets: Budgets) -> None:
        self.schema = schema._schema  # noqa: SLF001 - strawberry has no public name for the core schema
        self.executor_class = schema.execution_context_class
        self.settings = settings
        self.budgets = budgets
        self.documents = Documents(self.schema, settings.graphql)

    def prepare(self, request: Request, context: RequestContext) -> Operation:
        """The operation to run; raises `DocumentInvalid` or `Refused`. A document is paid for when it is new."""
        self.pay(self.documents.reading_cost(request.query), context)
        operation = self.documents.operation(request.query, request.operation_name)
        if operation.introspects and context.actor is None and not self.settings.introspection:
            raise Refused("Introspection needs an access token here.", code=UNAUTHENTICATED)
        check_variables(operation.uses, request.variables)
        return operation

    def charge(self, operation: Operation, request: Request, context: RequestContext) -> int:
        """Take the operation's highest cost from the caller's budget; raises `Refused`."""
        points = operation.cost
        if points is None:
            points = costs.requested(operation.parts, request.variables)
        most = self.settings.graphql.max_cost
        if points > most:
            raise Refused(
                f"The operation costs up to {points} points; the limit is {most}. Ask for fewer items at once.",
                code=COST_EXCEEDED,
            )
        self.pay(points, context)
        return points

    def pay(self, points: int, context: RequestContext) -> None:
        """Take points from the caller's budget; raises `Refused` when they are not there."""
        if points and not self.budgets.charge(context.payer, points):
            balance = self.budgets.balance(context.payer)
            wait = max(1, int(balance.reset_at.timestamp() - context.started_at))
            raise Refused(
                f"The budget of {balance.limit} points a minute is spent; this operation needs {points}.",
                code=RATE_LIMITED,
                status=TOO_MANY_STATUS,
                retry_after=wait,
            )

    def permission(self, operation: Operation) -> Permission | None:
        """The permission that an operation's first root field takes, where every one of them takes one."""
        root = self.schema.get_root_type(operation.kind)
        return None if root is None or operation.guarded is None else required(root, operation.guarded)

    async def run(self, request: Request, context: RequestContext, *, mutations: bool = True) -> Answer:
        """The answer of a query or mutation; refusals included."""
        try:
            operation = self.prepare(request, context)
            demand_single(operation, mutations=mutations)
            points = self.charge(operation, request, context)
        except DocumentInvalid as invalid:
            return refusal(self.told(invalid.errors, context), 400)
        except Refused as refused:
            return refusal([refused.formatted(context.request_id)], refused.status, refused.retry_after)
        return await self.execute(operation, request, context, points)

    def told(self, errors: Sequence[GraphQLError], context: RequestContext) -> list[dict[str, Any]]:
        """What is wrong with a document or its variables."""
        shown = [formatted(error, context.request_id) for error in errors]
        if context.actor is None and not self.settings.introspection:
            # Suggestions would spell the schema out, name by name, to strangers.
            return [{**error, "message": error["message"].partition(" Did you mean")[0]} for error in shown]
        return shown

    async def execute(self, operation: Operation, request: Request, context: RequestContext, points: int) -> Answer:
        """Run a charged query or mutation."""
        result = unauthenticated(operation, context) or execution.execute(
            self.schema,
            operation.document,
            context_value=context,
            variable_values=request.variables,
            operation_name=operation.name,
            executor_class=self.executor_class,
            is_awaitable=is_awaitable,
        )
        done = result if isinstance(result, ExecutionResult) else await result
        spent = costs.actual(operation.parts, done.data)
        balance = self.budgets.give_back(context.payer, points - spent)
        if done.data is None and not has_path(done):
            # Variables that do not fit: nothing ran, so there is no `data` at all.
            return refusal(self.told(done.errors or [], context), 400)
        body = {**shown(done, context), "extensions": {"cost": cost(points, spent, balance)}}
        status, wait = status_of(body)
        return Answer(body=body, status=status, retry_after=wait)

    async def subscribe(
        self, operation: Operation, request: Request, context: RequestContext
    ) -> AsyncIterator[ExecutionResult] | ExecutionResult:
        """The events of a charged subscription, or the result that says why there are none."""
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


def demand_single(operation: Operation, *, mutations: bool) -> None:
    """Raise `Refused` for what an HTTP request can't ask for."""
    if operation.kind is OperationType.SUBSCRIPTION:
        raise Refused("Subscriptions need the websocket: graphql-transport-ws on the same URL.")
    if operation.kind is OperationType.MUTATION and not mutations:
        raise Refused("Mutations need POST.", status=405)


def unauthenticated(operation: Operation, context: RequestContext) -> ExecutionResult | None:
    """The result when every field needs the caller who is not there: their variables are not even read."""
    node = operation.guarded
    if node is None or context.actor is not None:
        return None
    try:
        context.caller  # noqa: B018 - it raises
    except Unauthenticated as error:
        path = [node.alias.value if node.alias else node.name.value]
        # Its traceback leads to this request, which the result would then hold in a circle.
        shown = error.with_traceback(None)
        return ExecutionResult(None, [GraphQLError(str(error), [node], path=path, original_error=shown)])
    return None


def refusal(errors: list[dict[str, Any]], status: int, retry_after: int = 0) -> Answer:
    """The answer to a request that did not run."""
    return Answer(body={"errors": errors}, executed=False, status=status, retry_after=retry_after)


def shown(result: ExecutionResult, context: RequestContext) -> dict[str, Any]:
    """A result as the client sees it."""
    if result.errors:
        return {"data": result.data, "errors": [formatted(error, context.request_id) for error in result.errors]}
    return {"data": result.data}


def status_of(body: dict[str, Any]) -> tuple[int, int]:
    """The HTTP status of a result, and the seconds after which to come back, 0 where it does not matter.

    503 when nothing was answered because something of ours is away, 429 when nothing was as it came too often.
    """
    if "errors" not in body or any(value is not None for value in (body["data"] or {}).values()):
        return 200, 0
    found = [error["extensions"] for error in body["errors"]]
    for code, status in ((INTERNAL, AWAY_STATUS), (RATE_LIMITED, TOO_MANY_STATUS)):
        wait = max((each.get("retryAfter", 0) for each in found if each["code"] == code), default=0)
        if wait:
            return status, wait
    return 200, 0


def has_path(result: ExecutionResult) -> bool:
    """Whether any error arose in a field, as opposed to before the first one."""
    errors: list[GraphQLError] = result.errors or []
    return any(error.path is not None for error in errors)


def cost(requested: int, actual: int, balance: Balance) -> dict[str, Any]:
    """The `extensions.cost` of an answer."""
    return {
        "requested": requested,
        "actual": actual,
        "limit": balance.limit,
        "remaining": balance.remaining,
        "resetAt": balance.reset_at,
    }
