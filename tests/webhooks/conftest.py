"""The provider and the parts of a worker process, as the tests of deliveries have them."""

from tests.deliveries.conftest import base_url, http, provider, sender, shared_provider

__all__ = ["base_url", "http", "provider", "sender", "shared_provider"]
