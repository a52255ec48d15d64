"""The roots of the GraphQL schema, composed of the fields that each noun declares."""

from functools import lru_cache
from typing import Any

import strawberry
from graphql.execution import Executor

from execution import rows
from resolvers import accounts, campaigns, contacts, conversations, deliveries, lists, nodes, senders, templates
from resolvers.accounts import AccountMutations, AccountQueries
from resolvers.campaigns import CampaignMutations, CampaignQueries, CampaignSubscriptions
from resolvers.compiled import CompiledOperations
from resolvers.contacts import ContactMutations, ContactQueries
from resolvers.conversations import ConversationMutations, ConversationQueries, ConversationSubscriptions
from resolvers.deliveries import DeliveryMutations
from resolvers.limits import LimitQueries
from resolvers.lists import ListMutations, ListQueries
from resolvers.nodes import NodeQueries
from resolvers.senders import SenderMutations, SenderQueries
from resolvers.templates import TemplateMutations, TemplateQueries
from schema.errors import USER_ERROR_TYPES
from schema.nulls import drop_null_defaults
from schema.scalars import configuration

nodes.collect_nodes(
    accounts.NODES,
    campaigns.NODES,
    contacts.NODES,
    conversations.NODES,
    deliveries.NODES,
    lists.NODES,
    senders.NODES,
    templates.NODES,
)


@strawberry.type(
    description=(
        "Operations that read data. All fields of an operation read the data of the caller's organization.\n\n"
        "In these descriptions, *the error* with a code, such as `NOT_FOUND`, is in `errors` of the response, "
        "with the code in `extensions.code`.\n\n"
        "A code in the description of an argument or input field, such as `TOO_MANY`, is the `extensions.reason` of "
        "an error whose `extensions.code` is `BAD_USER_INPUT`; in `renderPreview`, it is the `code` of a user error."
    )
)
class Query(
    AccountQueries,
    CampaignQueries,
    ContactQueries,
    ConversationQueries,
    ListQueries,
    NodeQueries,
    SenderQueries,
    TemplateQueries,
    LimitQueries,
):
    pass


@strawberry.type(
    description=(
        "Operations that change data. The fields of an operation run one after the other, each in a transaction "
        "of its own.\n\n"
        "In these descriptions, a code such as `INVALID_STATE` is the `code` of a user error in the payload. Where "
        "they mention *the error* with a code, such as `RATE_LIMITED`, it is in `errors` of the response, in "
        "`extensions.code`."
    )
)
class Mutation(
    AccountMutations,
    CampaignMutations,
    ContactMutations,
    ConversationMutations,
    DeliveryMutations,
    ListMutations,
    SenderMutations,
    TemplateMutations,
):
    pass


@strawberry.type(description="Live updates over a WebSocket.")
class Subscription(CampaignSubscriptions, ConversationSubscriptions):
    pass


ROOTS = (Query, Mutation, Subscription)


@lru_cache(maxsize=1)
def build_schema() -> strawberry.Schema:
    """The schema of the API, built once per process."""
    return schema_of(Query, Mutation, Subscription, executor=CompiledOperations)


def schema_of(
    query: type, mutation: type, subscription: type, *, executor: type[Executor[Any]] | None = None
) -> strawberry.Schema:
    """A schema of these roots, made as the API's: with its scalars and types, and without defaults that are null."""
    schema = strawberry.Schema(
        query=query,
        mutation=mutation,
        subscription=subscription,
        config=configuration(read=rows.read),
        execution_context_class=executor,
        types=USER_ERROR_TYPES,  # fields name the interface alone
    )
    drop_null_defaults(schema._schema)  # noqa: SLF001 - strawberry has no public name for the core schema
    return schema
