"""The foundation: all tables, Row Level Security, the functions, and the first partitions.

Revision: 2026_12_01_foundation, the first.
"""

from pathlib import Path

from alembic import op

from migrations import sql

revision = "2026_12_01_foundation"
down_revision = None
branch_labels = None
depends_on = None

FOLDER = Path(__file__).with_suffix("")
TABLES = ("accounts", "contacts", "senders", "campaigns", "deliveries", "conversations", "records")
# In the order of creation: PostgreSQL checks the functions that an SQL function calls.
FUNCTIONS = {
    "first_uuid": "247ecac476b4",
    "add_partition": "a22717ae0a1d",
    "ensure_partitions": "386d9681c23f",
    "analyze_deliveries": "a61715fae651",
    "attribute_events": "d5e832ed1fe1",
    "count_deliveries_on_insert": "c551640e803a",
    "count_deliveries_on_update": "8f97a77e501f",
    "delete_expired": "8e8f6bd27add",
    "delete_expired_mail": "38006d88e71c",
    "campaigns_to_advance": "4aec74722700",
    "campaigns_to_send": "73ea93e0da16",
    "open_replies": "1ecc60ee5c20",
    "organization_of_user": "b8c23d29f3cb",
    "organizations_with_events": "118af0c5a270",
    "organizations_with_mail": "30acbfe71f53",
    "reserve_sending": "700084de4c2f",
    "sender_for_confirmation": "522c43d66289",
    "session_for_refresh": "4cccc29bc0ee",
    "user_for_login": "2721fb09019f",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    sql.run_files(FOLDER / f"{name}.sql" for name in ("schema", *TABLES))
    for name, digest in FUNCTIONS.items():
        sql.load(name, digest)
    sql.run_files(FOLDER / f"{name}.sql" for name in ("partitions", "policies"))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    sql.run_files([FOLDER / "downgrade.sql"])
