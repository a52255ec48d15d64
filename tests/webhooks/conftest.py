"""The provider and the parts of a worker process, as the tests of deliveries have them."""

from tests.deliveries.conftest import door, http, provider, sender, shared_provider

__all__ = ["door", "http", "provider", "sender", "shared_provider"]
