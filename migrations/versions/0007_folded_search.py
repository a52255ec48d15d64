"""Searches fold case as Unicode does, in the database alone, whatever its locale.

Revision: 0007, after 0006.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SEARCHED = "coalesce(first_name, '') || ' ' || coalesce(last_name, '') || ' ' || email"
PARTS = f"pg_catalog.normalize({SEARCHED}, 'NFKD') COLLATE pg_unicode_fast"
# What `models.folding` says; written out, as it may change after this revision.
FOLDED = f"pg_catalog.normalize(replace(replace(casefold({PARTS}), chr(305), 'i'), 'i' || chr(775), 'i'), 'NFKC')"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"ALTER TABLE contacts ALTER COLUMN search_text SET EXPRESSION AS ({FOLDED})")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"ALTER TABLE contacts ALTER COLUMN search_text SET EXPRESSION AS (lower({SEARCHED}))")
