"""The demo organisation of `nudge dev`: contacts, a template, a finished and a draft campaign."""

from random import Random

from sqlalchemy import text

from core import clock
from services import accounts
from services.runtime import Runtime
from services.seeding.campaigns import seed_campaigns
from services.seeding.contacts import seed_contacts
from services.seeding.people import people

HOW_MANY_CONTACTS = 2_000
SAME_EVERY_TIME = 2_026

__all__ = ["seed"]
