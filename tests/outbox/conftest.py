from collections.abc import AsyncIterator

import pytest

from tests.deliveries.conftest import Provider, providing


@pytest.fixture(scope="session")
async def shared_provider() -> AsyncIterator[Provider]:
    async with providing() as provider:
        yield provider


@pytest.fixture
async def provider(shared_provider: Provider) -> Provider:
    """The provider with an empty ledger and no faults."""
    assert (await shared_provider.client.call("DELETE", "/sandbox/ledger")).status == 204
    assert (await shared_provider.client.call("DELETE", "/sandbox/faults")).status == 204
    return shared_provider
