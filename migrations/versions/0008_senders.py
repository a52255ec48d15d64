"""Senders with their confirmations, and the outbox of system mail.

Revision: 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op

from migrations import rls

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = ("senders", "sender_confirmations", "outbox")
EVERYTHING = "SELECT, INSERT, UPDATE, DELETE"
A_MONTH_AGO = "now() - interval '30 days'"
FINISHED = f"finished_at <= {A_MONTH_AGO}"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    create_senders()
    create_outbox()
    for table in TABLES:
        rls.protect(table)
    rls.grant(EVERYTHING, "senders", "sender_confirmations")
    rls.grant("SELECT, INSERT, UPDATE", "outbox")
    define_functions()


def create_senders() -> None:
    op.create_table(
        "senders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_norm", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("becomes_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_senders_organization_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "requested_by"],
            ["users.organization_id", "users.id"],
            name=op.f("fk_senders_organization_id_requested_by"),
            ondelete="SET NULL (requested_by)",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_senders")),
        sa.UniqueConstraint("organization_id", "id", name=op.f("uq_senders_organization_id_id")),
        sa.UniqueConstraint("organization_id", "email_norm", name=op.f("uq_senders_organization_id_email_norm")),
    )
    op.create_index(
        "ix_senders_default",
        "senders",
        ["organization_id"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "sender_confirmations",
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("sender_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_sender_confirmations_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "sender_id"],
            ["senders.organization_id", "senders.id"],
            name=op.f("fk_sender_confirmations_organization_id_sender_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_sender_confirmations")),
    )
    op.create_index(
        op.f("ix_sender_confirmations_organization_id_sender_id"),
        "sender_confirmations",
        ["organization_id", "sender_id"],
    )
    op.add_column("campaigns", sa.Column("sender_id", sa.Uuid(), nullable=True))
    op.add_column("campaigns", sa.Column("from_sender_id", sa.Uuid(), nullable=True))
    op.add_column("campaigns", sa.Column("from_header", sa.Text(), nullable=True))
    for column in ("sender_id", "from_sender_id"):
        op.create_foreign_key(
            op.f(f"fk_campaigns_organization_id_{column}"),
            "campaigns",
            "senders",
            ["organization_id", column],
            ["organization_id", "id"],
            ondelete=f"SET NULL ({column})",
        )
        # Deleting a sender looks for the campaigns that use it; few campaigns name one.
        op.create_index(
            op.f(f"ix_campaigns_organization_id_{column}"),
            "campaigns",
            ["organization_id", column],
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )


def create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("dedupe_key", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("looks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Integer(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('sender_confirmation')", name=op.f("ck_outbox_kind")),
        sa.CheckConstraint(
            "status IN ('pending', 'submitting', 'unknown', 'accepted', 'failed', 'cancelled')",
            name=op.f("ck_outbox_status"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_outbox_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("organization_id", "dedupe_key", name=op.f("uq_outbox_organization_id_dedupe_key")),
    )
    op.create_index(
        "ix_outbox_open",
        "outbox",
        ["organization_id", "due_at", "id"],
        postgresql_where=sa.text("status = ANY (ARRAY['pending'::text, 'submitting'::text, 'unknown'::text])"),
    )
    op.create_index(
        op.f("ix_outbox_organization_id_kind_created_at"), "outbox", ["organization_id", "kind", "created_at"]
    )


def define_functions() -> None:
    """A confirmation's link names no organisation; the sweeper looks for mail to send, and for rows to forget."""
    rls.let_definer_read("sender_confirmations", "fingerprint", "organization_id", "sender_id", "expires_at")
    rls.let_definer_read("outbox", "id", "organization_id", "status", "due_at", "lease_until", "finished_at")
    rls.define(
        "sender_for_confirmation(fingerprint bytea)",
        "TABLE (organization_id uuid, sender_id uuid)",
        "SELECT c.organization_id, c.sender_id FROM sender_confirmations c "
        "WHERE c.fingerprint = $1 AND c.expires_at > now()",
    )
    rls.define(
        "organizations_with_mail()",
        "TABLE (organization_id uuid)",
        "SELECT o.organization_id FROM outbox o WHERE "
        "o.status = ANY (ARRAY['pending'::text, 'submitting'::text, 'unknown'::text]) "
        "AND CASE WHEN o.status = 'submitting' THEN o.lease_until ELSE o.due_at END <= now() "
        "GROUP BY o.organization_id ORDER BY min(o.due_at) LIMIT 1000",
    )
    for table, rule in (("sender_confirmations", "expires_at <= now()"), ("outbox", FINISHED)):
        op.execute(f"GRANT DELETE ON {table} TO {rls.DEFINER}")
        op.execute(f"CREATE POLICY forgetting ON {table} FOR DELETE TO {rls.DEFINER} USING ({rule})")
    rls.define(
        "forget_mail(most integer)",
        "bigint",
        f"""
        WITH of_outbox AS (
            DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE {FINISHED} LIMIT $1) RETURNING 1
        ), of_confirmations AS (
            DELETE FROM sender_confirmations WHERE fingerprint IN
            (SELECT fingerprint FROM sender_confirmations WHERE expires_at <= now() LIMIT $1) RETURNING 1
        )
        SELECT (SELECT count(*) FROM of_outbox) + (SELECT count(*) FROM of_confirmations)
        """,
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for function in ("sender_for_confirmation(bytea)", "organizations_with_mail()", "forget_mail(integer)"):
        op.execute(f"DROP FUNCTION system.{function}")
    for column in ("sender_id", "from_sender_id"):
        op.drop_constraint(op.f(f"fk_campaigns_organization_id_{column}"), "campaigns", type_="foreignkey")
        op.drop_column("campaigns", column)
    op.drop_column("campaigns", "from_header")
    for table in reversed(TABLES):
        op.drop_table(table)
