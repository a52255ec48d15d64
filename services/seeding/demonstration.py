"""The demo organisation of `nudge dev`: contacts, a template, a finished and a draft campaign."""

from random import Random

from core import clock
from core.unit_of_work import Work
from services.accounts import registration
from services.accounts.admission import Admission
from services.accounts.registration import AddressTaken
from services.seeding.campaigns import seed_campaigns
from services.seeding.contacts import seed_contacts
from services.seeding.people import people

HOW_MANY_CONTACTS = 2_000
SAME_EVERY_TIME = 2_026


async def seed(work: Work, admission: Admission, *, email: str, password: str) -> bool:
    """Make the demo organisation and its owner, all in one transaction; False when the owner exists already."""
    account = await registration.prepare_account(
        admission,
        organization_name="Demo & Daughters",
        email=email,
        password=password,
        full_name="Dana Demo",
    )
    random = Random(SAME_EVERY_TIME)
    now = clock.now()
    try:
        async with work.begin(account.owner) as uow:
            await registration.register(uow, account)
            await seed_contacts(uow, list(people(HOW_MANY_CONTACTS, random)), now)
            await seed_campaigns(uow, account.user_id, now, random)
    except AddressTaken:
        return False
    return True
