"""The demo organization of `nudge dev`: contacts, a template, a finished and a draft campaign."""

from random import Random

from core import clock
from core.unit_of_work import Work
from services.accounts import registration
from services.accounts.admission import Admission
from services.accounts.registration import AddressTaken
from services.seeding.campaigns import seed_campaigns
from services.seeding.contacts import seed_contacts
from services.seeding.people import demo_contacts

_CONTACT_COUNT = 2_000
_RANDOM_SEED = 2_026


async def seed(work: Work, admission: Admission, *, email: str, password: str) -> bool:
    """Create the demo organization and its owner, all in one transaction; False if the owner exists already."""
    account = await registration.prepare_account(
        admission,
        organization_name="Demo & Daughters",
        email=email,
        password=password,
        full_name="Dana Demo",
    )
    random = Random(_RANDOM_SEED)
    now = clock.now()
    try:
        async with work.begin(account.owner) as uow:
            await registration.register(uow, account)
            await seed_contacts(uow, list(demo_contacts(_CONTACT_COUNT, random)), now)
            await seed_campaigns(uow, account.user_id, now, random)
    except AddressTaken:
        return False
    return True
