from datetime import datetime, timedelta

from core import clock
from tests.client import ApiClient
from tests.senders.calls import create
from tests.senders.conftest import Installation
from tests.senders.test_confirming import address, pass_minutes


async def quota(api: ApiClient, email: str) -> tuple[int, int, timedelta]:
    """The limit, the number used, and the time when it resets, of the single error of `createSender`."""
    document = """mutation ($input: CreateSenderInput!) {
      createSender(input: $input) { userErrors { ... on QuotaError { limit used resetsAt } } }
    }"""
    data = await api.execute(document, {"input": {"email": email, "name": "Acme"}})
    (error,) = data["createSender"]["userErrors"]
    return error["limit"], error["used"], datetime.fromisoformat(error["resetsAt"]) - clock.now()


async def test_a_limit_of_confirmations_has_its_time_of_reset(production: Installation) -> None:
    """A minute after the last to the address, a day after the first of the organization's last twenty."""
    actor, api = await production.owner()
    await create(api, address())
    await pass_minutes(production.runtime, actor, 12 * 60)
    email = address()
    await create(api, email)
    limit, used, wait = await quota(api, email)
    assert (limit, used) == (1, 1)
    assert timedelta() < wait <= timedelta(minutes=1)
    for _ in range(18):
        await create(api, address())
    limit, used, wait = await quota(api, address())
    assert (limit, used) == (20, 20)
    assert timedelta(hours=11) < wait <= timedelta(hours=12)
