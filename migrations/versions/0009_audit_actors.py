"""The audit log names every kind of actor: users, API keys, Maya on behalf of a user, and the system.

Revision: 0009, after 0008.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE audit_events RENAME COLUMN actor_id TO user_id")
    op.execute(
        "ALTER TABLE audit_events ADD COLUMN api_key_id uuid, ADD COLUMN on_behalf_of uuid, "
        "ADD CONSTRAINT ck_audit_events_actor_kind CHECK (actor_kind IN ('user', 'api_key', 'maya', 'system')), "
        "ADD CONSTRAINT ck_audit_events_actor CHECK ((user_id IS NOT NULL) = (actor_kind = 'user') "
        "AND (api_key_id IS NOT NULL) = (actor_kind = 'api_key') "
        "AND (on_behalf_of IS NOT NULL) = (actor_kind = 'maya'))"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "ALTER TABLE audit_events DROP CONSTRAINT ck_audit_events_actor, "
        "DROP CONSTRAINT ck_audit_events_actor_kind, DROP COLUMN on_behalf_of, DROP COLUMN api_key_id"
    )
    op.execute("ALTER TABLE audit_events RENAME COLUMN user_id TO actor_id")
