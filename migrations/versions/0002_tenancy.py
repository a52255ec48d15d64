"""Row Level Security, the functions that look across tenants, the counters of campaigns, the partitions.

Revision: 0002, after 0001.
"""

from alembic import op

from migrations import rls

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PARTITIONED = ("email_deliveries", "contact_events")
EVERYTHING = "SELECT, INSERT, UPDATE, DELETE"
ORGANIZATION_TABLES = (
    "users",
    "user_sessions",
    "refresh_tokens",
    "contacts",
    "contact_tags",
    "lists",
    "list_memberships",
    "suppressions",
    "contact_events",
    "templates",
    "campaigns",
    "campaign_recipients",
    "campaign_stats",
    "email_deliveries",
    "idempotency_keys",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE SCHEMA system")
    op.execute(f"GRANT USAGE ON SCHEMA system TO {rls.APP}")
    rls.grant("SELECT", "alembic_version")  # `/readyz` compares it
    op.execute(f"GRANT USAGE, CREATE ON SCHEMA system TO {rls.DEFINER}")
    seal_tables()
    define_accounts()
    define_sending()
    define_webhooks()
    define_maya()
    count_deliveries()
    make_partitions()
    forget_expired()


def seal_tables() -> None:
    for table in ORGANIZATION_TABLES:
        rls.protect(table)
    rls.grant(EVERYTHING, *(table for table in ORGANIZATION_TABLES if table != "email_deliveries"))
    rls.grant("SELECT, INSERT, UPDATE", "email_deliveries")  # the ledger is never erased by the app

    rls.protect("organizations", f"id = {rls.ORGANIZATION_SETTING}")
    rls.grant("SELECT, INSERT, UPDATE", "organizations")
    for table in ("ai_conversations", "ai_messages"):
        rls.protect(table, rls.OF_USER)
    rls.grant(EVERYTHING, "ai_conversations", "ai_messages")

    rls.enforce("audit_events")
    op.execute(
        f"CREATE POLICY readers ON audit_events FOR SELECT TO {rls.APP} "
        f"USING ({rls.OF_ORGANIZATION} AND {rls.ROLE_SETTING} IN ('owner', 'admin'))"
    )
    op.execute(f"CREATE POLICY writers ON audit_events FOR INSERT TO {rls.APP} WITH CHECK ({rls.OF_ORGANIZATION})")
    rls.grant("SELECT, INSERT", "audit_events")

    rls.enforce("webhook_inbox")
    op.execute(
        f"CREATE POLICY arrivals ON webhook_inbox FOR INSERT TO {rls.APP} WITH CHECK (organization_id IS NULL)"
    )
    op.execute(f"CREATE POLICY tenant ON webhook_inbox FOR SELECT TO {rls.APP} USING ({rls.OF_ORGANIZATION})")
    op.execute(
        f"CREATE POLICY applying ON webhook_inbox FOR UPDATE TO {rls.APP} "
        f"USING ({rls.OF_ORGANIZATION}) WITH CHECK ({rls.OF_ORGANIZATION})"
    )
    rls.grant("SELECT, INSERT, UPDATE", "webhook_inbox")


def define_accounts() -> None:
    """People log in before we know their organisation."""
    rls.let_definer_read("users", "id", "organization_id", "email_norm")
    rls.let_definer_read("refresh_tokens", "fingerprint", "organization_id", "session_id")
    rls.define(
        "user_for_login(email_norm text)",
        "TABLE (organization_id uuid, user_id uuid)",
        "SELECT u.organization_id, u.id FROM users u WHERE u.email_norm = $1",
    )
    rls.define(
        "organization_of_user(user_id uuid)",
        "TABLE (organization_id uuid)",
        "SELECT u.organization_id FROM users u WHERE u.id = $1",
    )
    rls.define(
        "session_for_refresh(fingerprint bytea)",
        "TABLE (organization_id uuid, session_id uuid)",
        "SELECT t.organization_id, t.session_id FROM refresh_tokens t WHERE t.fingerprint = $1",
    )


def define_sending() -> None:
    """The sweeper, the unsubscribe page and the webhooks start from ids alone."""
    rls.let_definer_read("campaigns", "id", "organization_id", "status", "scheduled_at")
    rls.let_definer_read("campaign_stats", "organization_id", "campaign_id", "in_flight", "unknown")
    rls.let_definer_read("email_deliveries", "organization_id", "campaign_id", "id", "message_id")
    rls.define(
        "organization_of_campaign(campaign_id uuid)",
        "TABLE (organization_id uuid)",
        "SELECT c.organization_id FROM campaigns c WHERE c.id = $1",
    )
    rls.define(
        "live_campaigns()",
        "TABLE (organization_id uuid, campaign_id uuid, status text)",
        "SELECT c.organization_id, c.id, c.status FROM campaigns c "
        "WHERE c.status IN ('preparing', 'sending', 'cancelling') "
        "OR (c.status = 'scheduled' AND c.scheduled_at <= now()) "
        "OR (c.status = 'paused' AND EXISTS (SELECT FROM campaign_stats s WHERE s.campaign_id = c.id "
        "AND s.organization_id = c.organization_id AND (s.in_flight > 0 OR s.unknown > 0))) ORDER BY c.id",
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON provider_budgets TO {rls.DEFINER}")
    rls.define(
        "reserve_sending(account text, messages integer, per_second float8)",
        "TABLE (wait_seconds float8)",
        """
        INSERT INTO provider_budgets AS b (account, spoken_until)
        VALUES ($1, clock_timestamp() + make_interval(secs => $2 / $3))
        ON CONFLICT (account) DO UPDATE
        SET spoken_until = greatest(b.spoken_until, clock_timestamp()) + make_interval(secs => $2 / $3)
        RETURNING extract(epoch FROM spoken_until - clock_timestamp())::float8 - $2 / $3
        """,
    )


def define_webhooks() -> None:
    """A vendor's event names our ids in its metadata, or at least the vendor's own message id."""
    rls.let_definer_read(
        "webhook_inbox", "id", "organization_id", "provider", "payload", "applied_at", "attempts", "received_at"
    )
    op.execute(f"GRANT UPDATE (organization_id, attempts) ON webhook_inbox TO {rls.DEFINER}")
    op.execute(
        f"CREATE POLICY attributing ON webhook_inbox FOR UPDATE TO {rls.DEFINER} "
        "USING (organization_id IS NULL) WITH CHECK (true)"
    )
    rls.define(
        "attribute_events(most integer)",
        "TABLE (organization_id uuid)",
        """
        WITH waiting AS MATERIALIZED (
            SELECT w.id, w.payload->'Metadata'->>'campaign' AS campaign, w.payload->>'MessageID' AS message
            FROM webhook_inbox w WHERE w.organization_id IS NULL AND w.attempts < 20
            AND w.received_at <= now() - make_interval(secs => 5 * w.attempts * w.attempts)
            ORDER BY w.attempts, w.id LIMIT $1 FOR UPDATE SKIP LOCKED
        ), named AS MATERIALIZED (
            SELECT w.id, w.message, CASE WHEN pg_input_is_valid(w.campaign, 'uuid') THEN w.campaign::uuid END AS campaign
            FROM waiting w
        ), found AS MATERIALIZED (
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
        """,
    )
    rls.define(
        "organizations_with_events()",
        "TABLE (organization_id uuid)",
        "SELECT DISTINCT w.organization_id FROM webhook_inbox w "
        "WHERE w.applied_at IS NULL AND w.organization_id IS NOT NULL",
    )


def define_maya() -> None:
    """The sweeper takes up replies whose worker died."""
    rls.let_definer_read("ai_messages", "id", "organization_id", "user_id", "status", "lease_until")
    rls.define(
        "open_replies()",
        "TABLE (organization_id uuid, user_id uuid, message_id uuid)",
        "SELECT m.organization_id, m.user_id, m.id FROM ai_messages m "
        "WHERE m.status IN ('pending', 'streaming') AND (m.lease_until IS NULL OR m.lease_until < now()) "
        "ORDER BY m.id LIMIT 1000",
    )


COUNTED = "organization_id, campaign_id, status, delivered_at, opened_at, clicked_at, unsubscribed_at"
COUNTERS = {
    "audience": "true",
    "pending": "status = 'pending'",
    "in_flight": "status IN ('claimed', 'submitting')",
    "accepted": "status = 'accepted'",
    "delivered": "status = 'delivered'",
    "bounced": "status = 'bounced'",
    "complained": "status = 'complained'",
    "rejected": "status = 'rejected'",
    "skipped": "status = 'skipped'",
    "failed": "status = 'failed'",
    "unknown": "status = 'unknown'",
    "reached": "delivered_at IS NOT NULL",
    "opened": "opened_at IS NOT NULL",
    "clicked": "clicked_at IS NOT NULL",
    "unsubscribed": "unsubscribed_at IS NOT NULL",
}


def count_deliveries() -> None:
    """Whatever moves deliveries, their campaign's counters move in the same statement and add up."""
    sums = ", ".join(f"coalesce(sum(sign) FILTER (WHERE {rule}), 0) AS {name}" for name, rule in COUNTERS.items())
    changes = ", ".join(f"{name} = s.{name} + c.{name}" for name in COUNTERS)
    moved = " OR ".join(f"c.{name} <> 0" for name in COUNTERS)
    for event, rows in {
        "insert": f"SELECT {COUNTED}, 1 AS sign FROM new_rows",
        "update": f"SELECT {COUNTED}, 1 AS sign FROM new_rows UNION ALL SELECT {COUNTED}, -1 FROM old_rows",
    }.items():
        op.execute(
            f"""
            CREATE FUNCTION system.count_deliveries_on_{event}() RETURNS trigger LANGUAGE plpgsql
            SET search_path = pg_catalog, public, pg_temp AS $body$
            BEGIN
                UPDATE campaign_stats s SET {changes}, sequence = s.sequence + 1, updated_at = clock_timestamp()
                FROM (
                    SELECT organization_id, campaign_id, {sums} FROM ({rows}) AS moves
                    GROUP BY organization_id, campaign_id
                ) AS c
                WHERE s.organization_id = c.organization_id AND s.campaign_id = c.campaign_id AND ({moved});
                RETURN NULL;
            END $body$
            """
        )
        rls.close(f"system.count_deliveries_on_{event}()")
        old = "OLD TABLE AS old_rows" if event == "update" else ""
        op.execute(
            f"CREATE TRIGGER count_on_{event} AFTER {event.upper()} ON email_deliveries "
            f"REFERENCING {old} NEW TABLE AS new_rows "
            f"FOR EACH STATEMENT EXECUTE FUNCTION system.count_deliveries_on_{event}()"
        )


def make_partitions() -> None:
    """A default partition that catches any stray, and a function that makes the months from the last to the next but two.

    It belongs to the owner of the tables, as only the owner can add a partition; it reads no row. A month whose lock is
    not to be had in two seconds, or that has strays in the default partition, is left for the next call.
    """
    for table in PARTITIONED:
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
        rls.protect(f"{table}_default")
    # A campaign is of one organisation: without this the planner multiplies the two shares and expects a handful of rows.
    op.execute(
        "CREATE STATISTICS email_deliveries_campaigns (dependencies, mcv) "
        "ON organization_id, campaign_id FROM email_deliveries"
    )
    policy = rls.OF_ORGANIZATION.replace("'", "''")
    rls.define(
        "analyze_deliveries(campaign_id uuid)",
        "void",
        """
        DECLARE
            part text := 'email_deliveries_' || to_char(uuid_extract_timestamp($1) AT TIME ZONE 'UTC', 'YYYY_MM');
        BEGIN
            IF to_regclass('public.' || part) IS NOT NULL THEN
                EXECUTE format('ANALYZE public.%I (organization_id, campaign_id, id, status, is_open)', part);
            END IF;
        END
        """,
        by_owner=True,
        language="plpgsql",
    )
    op.execute(
        """
        CREATE FUNCTION system.first_uuid(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE
        SET search_path = pg_catalog, pg_temp AS $body$
            SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
        $body$
        """
    )
    op.execute(
        f"""
        CREATE FUNCTION system.add_partition(parent text, month timestamptz, low text, high text, fill integer)
        RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
        DECLARE
            part text := parent || to_char(month AT TIME ZONE 'UTC', '_YYYY_MM');
        BEGIN
            IF to_regclass('public.' || part) IS NOT NULL THEN
                RETURN 0;
            END IF;
            -- Made apart and then attached: that takes a weaker lock on the parent, and readers go on.
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                'INCLUDING GENERATED INCLUDING STATISTICS) WITH (fillfactor = %s)', part, parent, fill);
            EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', part);
            EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', part);
            EXECUTE format('CREATE POLICY tenant ON public.%I TO {rls.APP} USING ({policy}) WITH CHECK ({policy})', part);
            EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                parent, part, low, high);
            RETURN 1;
        EXCEPTION WHEN lock_not_available OR check_violation THEN
            RAISE WARNING 'partition % was not made: %', part, SQLERRM;
            RETURN 0;
        END $body$
        """
    )
    rls.define(
        "ensure_partitions()",
        "integer",
        """
        DECLARE
            month timestamptz;
            following timestamptz;
            made integer := 0;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('partitions', 0));
            PERFORM set_config('lock_timeout', '2s', true);
            FOR month IN SELECT generate_series(
                date_trunc('month', now(), 'UTC') - interval '1 month',
                date_trunc('month', now(), 'UTC') + interval '3 months', interval '1 month')
            LOOP
                following := month + interval '1 month';
                made := made
                    + system.add_partition('email_deliveries', month,
                        system.first_uuid(month)::text, system.first_uuid(following)::text, 50)
                    + system.add_partition('contact_events', month, month::text, following::text, 100);
            END LOOP;
            RETURN made;
        END
        """,
        by_owner=True,
        language="plpgsql",
    )
    rls.close("system.first_uuid(timestamptz)", "system.add_partition(text, timestamptz, text, text, integer)")
    op.execute("SELECT system.ensure_partitions()")


# Rows whose time is over: the columns that tell, the key, and the rule, which is the policy as well. A used refresh token
# is kept for a while, as one that comes again gives a thief away. The rule of ids lets the primary key find old events.
A_MONTH_AGO = "now() - interval '30 days'"
EXPIRED = {
    "idempotency_keys": (("expires_at",), "(organization_id, key)", "expires_at <= now()"),
    "refresh_tokens": (("used_at",), "fingerprint", f"used_at <= {A_MONTH_AGO}"),
    "user_sessions": (
        ("id", "expires_at", "ended_at"),
        "id",
        f"least(expires_at, ended_at) <= {A_MONTH_AGO}",
    ),
    "webhook_inbox": (
        (),
        "id",
        (
            f"id < system.first_uuid({A_MONTH_AGO}) AND received_at <= {A_MONTH_AGO} "
            "AND (applied_at IS NOT NULL OR (organization_id IS NULL AND attempts >= 20))"
        ),
    ),
}


def forget_expired() -> None:
    """Deletes across tenants, but nothing that its policies do not name, whatever the function says."""
    rls.let_definer_read("idempotency_keys", "organization_id", "key")
    rls.let_definer_read("user_sessions", "organization_id")
    op.execute(f"GRANT EXECUTE ON FUNCTION system.first_uuid(timestamptz) TO {rls.DEFINER}")
    deletions = []
    for table, (columns, key, rule) in EXPIRED.items():
        if columns:
            op.execute(f"GRANT SELECT ({', '.join(columns)}) ON {table} TO {rls.DEFINER}")
        op.execute(f"GRANT DELETE ON {table} TO {rls.DEFINER}")
        op.execute(f"CREATE POLICY forgetting ON {table} FOR DELETE TO {rls.DEFINER} USING ({rule})")
        deletions.append(
            f"of_{table} AS (DELETE FROM {table} WHERE {key} IN "
            f"(SELECT {key.strip('()')} FROM {table} WHERE {rule} LIMIT $1) RETURNING 1)"
        )
    total = " + ".join(f"(SELECT count(*) FROM of_{table})" for table in EXPIRED)
    rls.define("forget_expired(most integer)", "bigint", f"WITH {', '.join(deletions)} SELECT {total}")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TRIGGER count_on_insert ON email_deliveries")
    op.execute("DROP TRIGGER count_on_update ON email_deliveries")
    op.execute("DROP STATISTICS email_deliveries_campaigns")
    op.execute("DROP SCHEMA system CASCADE")
    op.execute(
        f"""
        DO $body$ DECLARE name text; policy text; BEGIN
            FOR name IN SELECT inhrelid::regclass::text FROM pg_inherits
                WHERE inhparent IN ('public.email_deliveries'::regclass, 'public.contact_events'::regclass)
            LOOP
                EXECUTE format('DROP TABLE %s', name);
            END LOOP;
            FOR name, policy IN SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'public' LOOP
                EXECUTE format('DROP POLICY %I ON public.%I', policy, name);
                EXECUTE format('ALTER TABLE public.%I NO FORCE ROW LEVEL SECURITY', name);
                EXECUTE format('ALTER TABLE public.%I DISABLE ROW LEVEL SECURITY', name);
            END LOOP;
            REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {rls.APP}, {rls.DEFINER};
        END $body$
        """
    )
