"""Suppressions by reason and with the times that the provider tells; events that tell of an address.

Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

from migrations import rls

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

IS_ACTIVE = "occurred_at IS NOT NULL AND (source = 'own'::text OR lifted_at IS NULL OR occurred_at >= lifted_at)"
KINDS = ("delivered", "opened", "clicked", "bounced", "complained", "unsubscribed", "subscribed")
NEW_KINDS = ("rejected", "suppressed", "reactivated", "notice")

WAITING = """
        WITH waiting AS MATERIALIZED (
            SELECT w.id, {more}w.payload->'Metadata'->>'campaign' AS campaign, w.payload->>'MessageID' AS message
            FROM webhook_inbox w WHERE w.organization_id IS NULL AND w.attempts < 20
            AND w.received_at <= now() - make_interval(secs => 5 * w.attempts * w.attempts)
            ORDER BY w.attempts, w.id LIMIT $1 FOR UPDATE SKIP LOCKED
        ), named AS MATERIALIZED (
            SELECT w.id, {more}w.message,
                CASE WHEN pg_input_is_valid(w.campaign, 'uuid') THEN w.campaign::uuid END AS campaign
            FROM waiting w
        ),
"""
# An event that tells of an address is copied to every organisation that knows the address, and is done with.
ATTRIBUTE = (
    WAITING.format(more="w.email_norm, ")
    + """
        found AS MATERIALIZED (
            SELECT n.id, n.email_norm, CASE WHEN n.email_norm IS NULL THEN coalesce(
                (SELECT c.organization_id FROM campaigns c WHERE c.id = n.campaign),
                (SELECT d.organization_id FROM email_deliveries d WHERE d.message_id = n.message LIMIT 1)
            ) END AS organization_id
            FROM named n
        ), holders AS MATERIALIZED (
            SELECT n.id, h.organization_id, count(*) OVER (PARTITION BY n.id) > 1 AS shared
            FROM named n CROSS JOIN LATERAL (
                SELECT c.organization_id FROM contacts c WHERE c.email_norm = n.email_norm
                UNION SELECT s.organization_id FROM suppressions s WHERE s.email_norm = n.email_norm
            ) h WHERE n.email_norm IS NOT NULL
        ), copied AS (
            INSERT INTO webhook_inbox
                (id, organization_id, provider, dedupe_key, payload, received_at, email_norm, shared)
            SELECT uuidv7(), h.organization_id, w.provider, w.dedupe_key || ':' || h.organization_id, w.payload,
                w.received_at, w.email_norm, h.shared
            FROM holders h JOIN webhook_inbox w ON w.id = h.id
            ON CONFLICT DO NOTHING RETURNING organization_id
        ), changed AS (
            UPDATE webhook_inbox w SET organization_id = f.organization_id,
                attempts = CASE WHEN f.email_norm IS NULL THEN w.attempts + 1 ELSE 20 END
            FROM found f WHERE w.id = f.id AND w.organization_id IS NULL RETURNING w.organization_id
        )
        SELECT c.organization_id FROM changed c WHERE c.organization_id IS NOT NULL
        UNION SELECT c.organization_id FROM copied c
"""
)
ATTRIBUTE_BEFORE = (
    WAITING.format(more="")
    + """
        found AS MATERIALIZED (
            SELECT n.id, coalesce(
                (SELECT c.organization_id FROM campaigns c WHERE c.id = n.campaign),
                (SELECT d.organization_id FROM email_deliveries d
                 WHERE n.campaign IS NULL AND d.message_id = n.message LIMIT 1)
            ) AS organization_id
            FROM named n
        ), changed AS (
            UPDATE webhook_inbox w SET organization_id = f.organization_id, attempts = w.attempts + 1
            FROM found f WHERE w.id = f.id AND w.organization_id IS NULL RETURNING w.organization_id
        )
        SELECT DISTINCT c.organization_id FROM changed c WHERE c.organization_id IS NOT NULL
"""
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    change_suppressions()
    op.add_column("email_deliveries", sa.Column("complained_at", sa.DateTime(timezone=True), nullable=True))
    allow_kinds(*KINDS, *NEW_KINDS)
    op.create_index(op.f("ix_contacts_email_norm"), "contacts", ["email_norm"])
    op.add_column("webhook_inbox", sa.Column("email_norm", sa.Text(), nullable=True))
    op.add_column("webhook_inbox", sa.Column("shared", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    rls.let_definer_read("contacts", "organization_id", "email_norm")
    rls.let_definer_read("suppressions", "organization_id", "email_norm")
    op.execute(f"GRANT SELECT (dedupe_key, email_norm) ON webhook_inbox TO {rls.DEFINER}")
    op.execute(
        "GRANT INSERT (id, organization_id, provider, dedupe_key, payload, received_at, email_norm, shared) "
        f"ON webhook_inbox TO {rls.DEFINER}"
    )
    op.execute(
        f"CREATE POLICY copying ON webhook_inbox FOR INSERT TO {rls.DEFINER} "
        "WITH CHECK (organization_id IS NOT NULL AND email_norm IS NOT NULL)"
    )
    define_attribution(ATTRIBUTE)


def change_suppressions() -> None:
    """One row for each reason; of what was there before, the provider can lift what it said of the address itself."""
    now = sa.text("now()")
    op.add_column("suppressions", sa.Column("source", sa.Text(), server_default="own", nullable=False))
    op.add_column(
        "suppressions", sa.Column("occurred_at", sa.DateTime(timezone=True), server_default=now, nullable=True)
    )
    op.add_column("suppressions", sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True))
    with_all_rows(
        "suppressions",
        "UPDATE suppressions SET occurred_at = created_at, "
        "source = CASE WHEN reason IN ('hard_bounce', 'provider') THEN 'provider' ELSE 'own' END",
    )
    op.add_column(
        "suppressions", sa.Column("is_active", sa.Boolean(), sa.Computed(IS_ACTIVE, persisted=True), nullable=False)
    )
    op.create_check_constraint(op.f("ck_suppressions_source"), "suppressions", "source IN ('own', 'provider')")
    op.drop_constraint(op.f("pk_suppressions"), "suppressions")
    op.create_primary_key(op.f("pk_suppressions"), "suppressions", ["organization_id", "email_norm", "reason"])
    op.create_index(op.f("ix_suppressions_email_norm"), "suppressions", ["email_norm"])


def with_all_rows(table: str, statement: str) -> None:
    """Run a statement over the rows of all tenants, which the owner of a table does not see either."""
    op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(statement)
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def allow_kinds(*kinds: str) -> None:
    """Change which kinds of events there are. A partition has the rule as its own and keeps it when the parent's goes."""
    op.execute("ALTER TABLE contact_events DROP CONSTRAINT ck_contact_events_kind")
    op.execute(
        """
        DO $body$ DECLARE part text; BEGIN
            FOR part IN SELECT inhrelid::regclass::text FROM pg_inherits
                WHERE inhparent = 'public.contact_events'::regclass
            LOOP
                EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS ck_contact_events_kind', part);
            END LOOP;
        END $body$
        """
    )
    names = ", ".join(f"'{kind}'" for kind in kinds)
    op.execute(f"ALTER TABLE contact_events ADD CONSTRAINT ck_contact_events_kind CHECK (kind IN ({names}))")


def define_attribution(body: str) -> None:
    """Replace the function that finds out whose the waiting events are."""
    op.execute("DROP FUNCTION system.attribute_events(integer)")
    rls.define("attribute_events(most integer)", "TABLE (organization_id uuid)", body)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    define_attribution(ATTRIBUTE_BEFORE)
    op.execute("DROP POLICY copying ON webhook_inbox")
    op.execute(f"REVOKE INSERT ON webhook_inbox FROM {rls.DEFINER}")
    for table in ("contacts", "suppressions"):
        op.execute(f"DROP POLICY definer ON {table}")
        op.execute(f"REVOKE SELECT ON {table} FROM {rls.DEFINER}")
    op.drop_column("webhook_inbox", "shared")
    op.drop_column("webhook_inbox", "email_norm")
    op.drop_index(op.f("ix_contacts_email_norm"), table_name="contacts")
    new_kinds = ", ".join(f"'{kind}'" for kind in NEW_KINDS)
    with_all_rows("contact_events", f"DELETE FROM contact_events WHERE kind IN ({new_kinds})")
    allow_kinds(*KINDS)
    op.drop_column("email_deliveries", "complained_at")
    op.drop_index(op.f("ix_suppressions_email_norm"), table_name="suppressions")
    keep_one_reason()
    for column in ("is_active", "lifted_at", "occurred_at", "source"):
        op.drop_column("suppressions", column)


def keep_one_reason() -> None:
    """Of each address the first reason that still holds."""
    op.drop_constraint(op.f("pk_suppressions"), "suppressions")
    with_all_rows(
        "suppressions",
        "DELETE FROM suppressions s WHERE NOT s.is_active OR EXISTS (SELECT FROM suppressions o WHERE o.is_active "
        "AND o.organization_id = s.organization_id AND o.email_norm = s.email_norm AND o.reason < s.reason)",
    )
    op.create_primary_key(op.f("pk_suppressions"), "suppressions", ["organization_id", "email_norm"])
