"""A sender with a provider that does what a test wants."""

import pytest

from runtime import Runtime
from services.deliveries.sending import Sender
from tests.sending.model import ModelMailer


@pytest.fixture
def mailer() -> ModelMailer:
    return ModelMailer()


@pytest.fixture
def sender(runtime: Runtime, mailer: ModelMailer) -> Sender:
    return Sender(
        settings=runtime.settings.sending,
        public_url=runtime.settings.public_url,
        work=runtime.work,
        system=runtime.system,
        reads=runtime.reads,
        mailer=mailer,
        signer=runtime.unsubscribe_signer,
    )
