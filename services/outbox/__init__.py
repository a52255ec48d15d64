"""System mail: rows written in the unit of work of what asks for it, each handed to the provider once."""

from services.outbox.sending import OutboxSender, organizations_with_mail
from services.outbox.submitting import Composer, Item, Mail
from services.outbox.work import SendOutbox
from services.outbox.writing import count_recent, put

__all__ = ["Composer", "Item", "Mail", "OutboxSender", "SendOutbox", "count_recent", "organizations_with_mail", "put"]
