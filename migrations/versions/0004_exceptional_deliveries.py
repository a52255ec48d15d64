"""An index of the recipients whom a campaign did not reach, for reading them without the others.

Revision: 0004, after 0003.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

IS_EXCEPTIONAL = (
    "status = ANY (ARRAY['bounced'::text, 'complained'::text, 'rejected'::text, 'skipped'::text, 'failed'::text])"
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "ALTER TABLE email_deliveries ADD COLUMN is_exceptional boolean NOT NULL "
        f"GENERATED ALWAYS AS ({IS_EXCEPTIONAL}) STORED"
    )
    op.execute(
        "CREATE INDEX ix_email_deliveries_exceptional ON email_deliveries (organization_id, campaign_id, id) "
        "WHERE is_exceptional"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP INDEX ix_email_deliveries_exceptional")
    op.execute("ALTER TABLE email_deliveries DROP COLUMN is_exceptional")
