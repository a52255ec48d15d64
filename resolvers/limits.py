"""`rateLimit`: the state of the caller's budget."""

import strawberry

from resolvers.context import Info
from resolvers.fields import Public, query
from schema.limits import RateLimit, rate_limit


@strawberry.type
class LimitQueries:
    @query(Public())
    async def rate_limit(self, info: Info) -> RateLimit:
        """The caller's rate limit: a budget of cost points for each minute.

        The cost of each operation is in `extensions.cost` of its response.
        """
        balance = info.context.budgets.balance(info.context.budget_key)
        return rate_limit(limit=balance.limit, remaining=balance.remaining, reset_at=balance.reset_at)
