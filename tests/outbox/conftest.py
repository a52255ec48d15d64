"""The provider, as the tests of deliveries have it."""

from tests.deliveries.conftest import provider, shared_provider

__all__ = ["provider", "shared_provider"]
