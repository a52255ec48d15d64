"""Root fields: each declares on one line who may use it, and refusals of mutations become `userErrors`."""

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

STATE = "nudge.state"
AUDIT = "nudge.audit"

Resolve = TypeVar("Resolve", bound=Callable[..., Awaitable[Any]])
Subscribe = TypeVar("Subscribe", bound=Callable[..., AsyncIterator[Any]])


class Rule(FieldExtension):
    """Who may use a root field; `sentence` says it in the field's description."""

    sentence = ""

    def check(self, info: Info) -> None:
        """Raise `Unauthenticated` or `Forbidden` unless the caller may."""
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


class Requires(Rule):
    """The caller must be authenticated and hold the permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission
        self.sentence = f"Requires the permission `{permission}`."

    def check(self, info: Info) -> None:
        """Raise unless the caller holds the permission."""
        info.context.caller.require(self.permission)


class Public(Rule):
    """Anybody may use the field, authenticated or not."""

    def check(self, info: Info) -> None:
        """Nobody is refused."""


class Payload(Protocol):
    """What every mutation gives back: the object, or why not."""

    user_errors: list[UserError]


class RefusalsInPayload(FieldExtension):
    """Turns what a service refuses into the payload's `userErrors`: the one place where GraphQL meets NudgeError."""

    def __init__(self, payload: Callable[..., Payload]) -> None:
        self.payload = payload

    async def resolve_async(
        self,
        next_: Callable[..., Awaitable[Any]],
        source: Any,  # noqa: ANN401 - Strawberry's signature
        info: Info,
        **kwargs: Any,  # noqa: ANN401 - the same
    ) -> Any:  # noqa: ANN401 - the same
        """Resolve; on a refusal answer with an empty payload that says why."""
        try:
            return await next_(source, info, **kwargs)
        except NudgeError as error:
            return self.payload(user_errors=[user_error(error)])
        except InputErrors as refusals:
            return self.payload(user_errors=[user_error(error) for error in refusals.errors])


def field_description(resolver: Callable[..., object], rule: Rule, cost: int = 0) -> str:
    """The resolver's docstring, which is written for the API's readers, and what the field's declaration requires."""
    text = inspect.getdoc(resolver)
    if not text:
        raise TypeError(f"{resolver.__qualname__} needs a docstring: it is the field's description")
    charge = f"Adds {cost} points to the cost of the operation." if cost else ""
    notes = " ".join(filter(None, (rule.sentence, charge)))
    return f"{text}\n\n{notes}" if notes else text


USUAL_ARGUMENTS = {
    "id": "ID of the object. The result is `null` if it does not exist or belongs to another organization.",
    "ids": "IDs of the objects, at most 100.",
    "email": "E-mail address, case-insensitive.",
}


INPUT_OF_QUERY = "Input fields of the query."
INPUT_OF_MUTATION = "Input fields of the mutation."


def with_arguments_described(field: Any, inputs: str) -> Any:  # noqa: ANN401 - a Strawberry field stands in for any type
    """The field, where arguments of the usual names that say nothing of their own get the usual description."""
    usual = {**USUAL_ARGUMENTS, "input": inputs}
    for argument in field.arguments:
        argument.description = argument.description or usual.get(argument.python_name)
    return field


def nullable(returned: Any) -> dict[str, Any]:  # noqa: ANN401 - an annotation
    """How a root field is declared that returns this: nullable, so that its error leaves the other root fields alone.

    Where null is no result, `@semanticNonNull` says that it stands for an error.
    """
    if type(None) in get_args(returned):
        return {}
    return {"graphql_type": returned | None, "directives": NULL_ON_ERROR}


def query(rule: Rule, *, refusals_in_payload: bool = False, cost: int = 0) -> Callable[[Resolve], Any]:
    """A root field of Query; one that answers with a payload, as a mutation does, can have refusals in it.

    `cost` is what it costs, in points, beyond the objects that it shows.
    """

    def declare(resolver: Resolve) -> Any:  # noqa: ANN401 - a Strawberry field stands in for any type
        extensions: list[FieldExtension] = [rule]
        returned = get_type_hints(resolver, include_extras=True)["return"]
        if refusals_in_payload:
            extensions.append(RefusalsInPayload(returned))
        field = strawberry.field(
            resolver=resolver,
            description=field_description(resolver, rule, cost),
            extensions=extensions,
            metadata={COST: cost},
            **nullable(returned),
        )
        return with_arguments_described(field, INPUT_OF_QUERY)

    return declare


@dataclass(frozen=True, slots=True)
class Unaudited:
    """Why a mutation writes no audit record, as a sentence for the documentation."""

    reason: str


Audit = tuple[str, ...] | Unaudited


def mutation(rule: Rule, *, audit: str | Audit, cost: int = 0) -> Callable[[Resolve], Any]:
    """A root field of Mutation; its return annotation is the payload type.

    `audit` names the actions that its audit records may have, each where something of the kind was changed. `cost`
    is in points, on top of the cost of any mutation: for one that is expensive whatever it returns.
    """
    actions = (audit,) if isinstance(audit, str) else audit

    def declare(resolver: Resolve) -> Any:  # noqa: ANN401 - a Strawberry field stands in for any type
        payload = get_type_hints(resolver)["return"]
        field = strawberry.mutation(
            resolver=resolver,
            description=field_description(resolver, rule, cost),
            extensions=[rule, RefusalsInPayload(payload)],
            metadata={COST: cost, AUDIT: actions},
            **nullable(payload),
        )
        return with_arguments_described(field, INPUT_OF_MUTATION)

    return declare


def subscription(rule: Rule, *, state: bool = False) -> Callable[[Subscribe], Any]:
    """A root field of Subscription: an async generator.

    A `state` gives whole values, of which the newest is enough, and the same ones to everybody in an organization
    who has the same rights: its viewers share one execution.
    """

    def declare(resolver: Subscribe) -> Any:  # noqa: ANN401 - a Strawberry field stands in for any type
        return strawberry.subscription(
            resolver=resolver,
            description=field_description(resolver, rule),
            extensions=[rule],
            metadata={STATE: state},
        )

    return declare


def is_state(field: GraphQLField) -> bool:
    """Whether a root field of the GraphQL schema was declared as a state."""
    return bool(declared(field, STATE, default=False))


def declared_cost(field: GraphQLField) -> int:
    """The points that a field of the GraphQL schema was declared to cost in itself."""
    return int(declared(field, COST, default=0))


def rule_of(field: GraphQLField) -> Rule | None:
    """Who may use a root field of the GraphQL schema; None for a field that declares nothing."""
    definition = definition_of(field)
    extensions = () if definition is None else definition.extensions
    return next((each for each in extensions if isinstance(each, Rule)), None)


def audit_of(field: GraphQLField) -> Audit:
    """What a mutation of the GraphQL schema was declared to write to the audit log."""
    found: Audit = declared(field, AUDIT, default=())
    return found


def declared(field: GraphQLField, name: str, *, default: Any) -> Any:  # noqa: ANN401 - metadata holds any value
    """What a field's declaration has under a name of ours."""
    definition = definition_of(field)
    return definition.metadata.get(name, default) if definition is not None else default


def definition_of(field: GraphQLField) -> StrawberryField | None:
    """Strawberry's declaration of a field of the GraphQL schema; None for a field that is not of ours."""
    found: StrawberryField | None = (field.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return found
