"""Installations without one of the vendors, each with a database of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from integrations.language_settings import LLMSettings
from integrations.postmark.settings import PostmarkSettings
from runtime import Runtime, running
from services.features import Feature
from settings import Settings
from tests.client import ApiClient
from tests.conftest import Servers, copy_template, settings_for
from tests.serving import Served, served

EMPTY_GROUPS: dict[Feature, dict[str, object]] = {
    Feature.SENDING: {"postmark": PostmarkSettings()},
    Feature.MAYA: {"llm": LLMSettings()},
}


def without(settings: Settings, feature: Feature) -> Settings:
    """The settings without those of the feature's vendor."""
    return settings.model_copy(update=EMPTY_GROUPS[feature])


@asynccontextmanager
async def installed(servers: Servers, feature: Feature) -> AsyncIterator[tuple[Runtime, Served]]:
    """An API without a feature."""
    settings = without(settings_for(servers, await copy_template(servers), redis_database=1), feature)
    async with running(settings) as runtime, served(runtime) as server:
        yield runtime, server


@pytest.fixture
async def no_mail(servers: Servers) -> AsyncIterator[tuple[Runtime, ApiClient]]:
    """An API without a mail provider."""
    async with installed(servers, Feature.SENDING) as (runtime, server):
        yield runtime, ApiClient(server.url)


@pytest.fixture
async def no_maya(servers: Servers) -> AsyncIterator[tuple[Runtime, ApiClient]]:
    """An API without a language model."""
    async with installed(servers, Feature.MAYA) as (runtime, server):
        yield runtime, ApiClient(server.url)
