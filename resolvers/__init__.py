"""Door 1, GraphQL: the roots, composed of what each noun declares."""

from functools import lru_cache

import strawberry

from resolvers.accounts import AccountMutations, AccountQueries
from resolvers.limits import LimitQueries
from resolvers.nodes import NodeQueries
from schema.scalars import configuration


@strawberry.type(description="Everything that can be read. One operation reads under one tenant.")
class Query(AccountQueries, NodeQueries, LimitQueries):
    pass


@strawberry.type(description="Everything that can be changed. Each field is one transaction, in the order written.")
class Mutation(AccountMutations):
    pass


@lru_cache(maxsize=1)
def build_schema() -> strawberry.Schema:
    """The schema of the API; made once in a process."""
    return strawberry.Schema(query=Query, mutation=Mutation, config=configuration())
