"""The provider and the engine's parts, as the tests of deliveries have them."""

from tests.deliveries.conftest import door, http, provider, sender, shared_provider

__all__ = ["door", "http", "provider", "sender", "shared_provider"]
