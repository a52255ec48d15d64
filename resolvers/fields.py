"""Root fields: each declares its permission on one line, and errors of mutations become `userErrors`."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Protocol, TypeVar, get_args, get_type_hints

import strawberry
from graphql import GraphQLField
from strawberry.extensions import FieldExtension
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from core.access.permissions import Permission
from core.errors import InputErrors, NudgeError
from resolvers.context import Info
from schema.errors import UserError, user_error
from schema.fields import COST, NULL_ON_ERROR

STATE_SUBSCRIPTION = "nudge.state_subscription"
AUDIT = "nudge.audit"

Resolve = TypeVar("Resolve", bound=Callable[..., Awaitable[Any]])
Subscribe = TypeVar("Subscribe", bound=Callable[..., AsyncIterator[Any]])


class AccessRule(FieldExtension):
    """The access rule of a root field; `description` becomes part of the field's description."""

    description = ""

    def check(self, info: Info) -> None:
        """Raise `Unauthenticated` or `Forbidden` unless the caller may use the field."""
        raise NotImplementedError

    async def resolve_async(
        self,
        next_: Callable[..., Any],
        source: Any,  # noqa: ANN401 - Strawberry's signature
        info: Info,
        **kwargs: Any,  # noqa: ANN401 - the same
    ) -> Any:  # noqa: ANN401 - the same
        """Check, then resolve."""
        self.check(info)
        result = next_(source, info, **kwargs)
        return await result if type(result) is CoroutineType or inspect.isawaitable(result) else result


class Requires(AccessRule):
    """The caller must be authenticated and hold the permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission
        self.description = f"Requires the permission `{permission}`."

    def check(self, info: Info) -> None:
        """Raise unless the caller holds the permission."""
        info.context.caller.require(self.permission)


class Public(AccessRule):
    """Anybody may use the field, authenticated or not."""

    def check(self, info: Info) -> None:
        """Allow every caller."""


class Payload(Protocol):
    """What every mutation returns: the object, or the errors."""

    user_errors: list[UserError]


class UserErrorsInPayload(FieldExtension):
    """Turns the errors of a service into the payload's `userErrors`; nothing else does."""

    def __init__(self, payload: Callable[..., Payload]) -> None:
        self.payload = payload

    async def resolve_async(
        self,
        next_: Callable[..., Awaitable[Any]],
        source: Any,  # noqa: ANN401 - Strawberry's signature
        info: Info,
        **kwargs: Any,  # noqa: ANN401 - the same
    ) -> Any:  # noqa: ANN401 - the same
        """Resolve; on an error of the service return a payload with the error alone."""
        try:
            return await next_(source, info, **kwargs)
        except NudgeError as error:
            return self.payload(user_errors=[user_error(error)])
        except InputErrors as input_errors:
            return self.payload(user_errors=[user_error(error) for error in input_errors.errors])


def _field_description(resolver: Callable[..., object], rule: AccessRule, cost: int = 0) -> str:
    """The resolver's docstring, which is written for users of the API, and the declared permission and cost."""
    text = inspect.getdoc(resolver)
    if not text:
        raise TypeError(f"{resolver.__qualname__} needs a docstring: it is the field's description")
    charge = f"Adds {cost} points to the cost of the operation." if cost else ""
    notes = " ".join(filter(None, (rule.description, charge)))
    return f"{text}\n\n{notes}" if notes else text


COMMON_ARGUMENTS = {
    "id": "ID of the object. The result is `null` if there is no such object in the organization.",
    "ids": "IDs of the objects, at most 100.",
    "email": "E-mail address, case-insensitive.",
}


INPUT_OF_QUERY = "Input fields of the query."
INPUT_OF_MUTATION = "Input fields of the mutation."


def _describe_arguments(field: Any, inputs: str) -> Any:  # noqa: ANN401 - a Strawberry field is typed as its value
    """Give arguments with common names and no description of their own the common description."""
    common = {**COMMON_ARGUMENTS, "input": inputs}
    for argument in field.arguments:
        argument.description = argument.description or common.get(argument.python_name)
    return field


def _nullable(returned: Any) -> dict[str, Any]:  # noqa: ANN401 - an annotation
    """The declaration of a root field's type: nullable, so that an error does not null other root fields.

    Where null is not a result, `@semanticNonNull` declares that null means an error.
    """
    if type(None) in get_args(returned):
        return {}
    return {"graphql_type": returned | None, "directives": NULL_ON_ERROR}


def query(rule: AccessRule, *, user_errors_in_payload: bool = False, cost: int = 0) -> Callable[[Resolve], Any]:
    """A root field of Query. One that returns a payload, as mutations do, may have errors in its `userErrors`.

    `cost` is its cost in points, in addition to the objects that it returns.
    """

    def declare(resolver: Resolve) -> Any:  # noqa: ANN401 - a Strawberry field is typed as its value
        extensions: list[FieldExtension] = [rule]
        returned = get_type_hints(resolver, include_extras=True)["return"]
        if user_errors_in_payload:
            extensions.append(UserErrorsInPayload(returned))
        field = strawberry.field(
            resolver=resolver,
            description=_field_description(resolver, rule, cost),
            extensions=extensions,
            metadata={COST: cost},
            **_nullable(returned),
        )
        return _describe_arguments(field, INPUT_OF_QUERY)

    return declare


@dataclass(frozen=True, slots=True)
class Unaudited:
    """Why a mutation writes no audit record, as a sentence for the documentation."""

    reason: str


Audit = tuple[str, ...] | Unaudited


def mutation(rule: AccessRule, *, audit: str | Audit, cost: int = 0) -> Callable[[Resolve], Any]:
    """A root field of Mutation; its return annotation is the payload type.

    `audit` names the actions of the audit records that it may write. `cost` is in points, in addition to the cost of
    any mutation and of the objects it returns.
    """
    actions = (audit,) if isinstance(audit, str) else audit

    def declare(resolver: Resolve) -> Any:  # noqa: ANN401 - a Strawberry field is typed as its value
        payload = get_type_hints(resolver)["return"]
        field = strawberry.mutation(
            resolver=resolver,
            description=_field_description(resolver, rule, cost),
            extensions=[rule, UserErrorsInPayload(payload)],
            metadata={COST: cost, AUDIT: actions},
            **_nullable(payload),
        )
        return _describe_arguments(field, INPUT_OF_MUTATION)

    return declare


def subscription(rule: AccessRule, *, state: bool = False) -> Callable[[Subscribe], Any]:
    """A root field of Subscription: an async generator.

    `state` declares a state subscription: its values are complete, so that the newest is enough, and the same for all
    callers of an organization with the same permissions. Its subscribers share one execution.
    """

    def declare(resolver: Subscribe) -> Any:  # noqa: ANN401 - a Strawberry field is typed as its value
        return strawberry.subscription(
            resolver=resolver,
            description=_field_description(resolver, rule),
            extensions=[rule],
            metadata={STATE_SUBSCRIPTION: state},
        )

    return declare


def is_state_field(field: GraphQLField) -> bool:
    """Whether a root field of the GraphQL schema was declared as a state subscription."""
    return bool(_metadata(field, STATE_SUBSCRIPTION, default=False))


def declared_cost(field: GraphQLField) -> int:
    """The points that a field of the GraphQL schema declares as its own cost."""
    return int(_metadata(field, COST, default=0))


def access_rule_of(field: GraphQLField) -> AccessRule | None:
    """The access rule of a root field of the GraphQL schema; None for a field that declares none."""
    definition = definition_of(field)
    extensions = () if definition is None else definition.extensions
    return next((each for each in extensions if isinstance(each, AccessRule)), None)


def audit_of(field: GraphQLField) -> Audit:
    """The audit actions that a mutation of the GraphQL schema declares."""
    audit: Audit = _metadata(field, AUDIT, default=())
    return audit


def _metadata(field: GraphQLField, name: str, *, default: Any) -> Any:  # noqa: ANN401 - metadata holds any value
    """A value of the metadata in a field's declaration."""
    definition = definition_of(field)
    return definition.metadata.get(name, default) if definition is not None else default


def definition_of(field: GraphQLField) -> StrawberryField | None:
    """Strawberry's declaration of a field of the GraphQL schema; None for a field of graphql-core itself."""
    definition: StrawberryField | None = (field.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return definition
