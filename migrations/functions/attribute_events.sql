-- Attributes webhook events without an organization; returns the organizations that got events. An event is attributed
-- by its campaign, else by the provider's message id. An event that concerns an address (email_norm) is copied to every
-- organization that has the address, and the original is finished (20 attempts). Without a result it is tried again
-- after a pause that doubles: the delivery may not have its message id yet.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.attribute_events(max_events integer, first_pause float8, longest_pause float8)
RETURNS TABLE (organization_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    WITH waiting AS MATERIALIZED (
        SELECT w.id, w.email_norm, w.campaign_id, w.message_id
        FROM webhook_inbox w WHERE w.organization_id IS NULL AND w.attempts < 20
        AND w.due_at <= now()
        ORDER BY w.attempts, w.id LIMIT max_events FOR UPDATE SKIP LOCKED
    ), found AS MATERIALIZED (
        SELECT w.id, w.email_norm, CASE WHEN w.email_norm IS NULL THEN coalesce(
            (SELECT c.organization_id FROM campaigns c WHERE c.id = w.campaign_id),
            (SELECT d.organization_id FROM email_deliveries d WHERE d.message_id = w.message_id LIMIT 1)
        ) END AS organization_id
        FROM waiting w
    ), holders AS MATERIALIZED (
        SELECT w.id, h.organization_id, count(*) OVER (PARTITION BY w.id) > 1 AS shared
        FROM waiting w CROSS JOIN LATERAL (
            SELECT c.organization_id FROM contacts c WHERE c.email_norm = w.email_norm
            UNION SELECT s.organization_id FROM suppressions s WHERE s.email_norm = w.email_norm
        ) h WHERE w.email_norm IS NOT NULL
    ), copied AS (
        INSERT INTO webhook_inbox
            (id, organization_id, provider, dedupe_key, payload, received_at, email_norm, shared)
        SELECT uuidv7(), h.organization_id, w.provider, w.dedupe_key || ':' || h.organization_id, w.payload,
            w.received_at, w.email_norm, h.shared
        FROM holders h JOIN webhook_inbox w ON w.id = h.id
        ON CONFLICT DO NOTHING RETURNING organization_id
    ), changed AS (
        UPDATE webhook_inbox w SET organization_id = f.organization_id,
            attempts = CASE
                WHEN f.email_norm IS NOT NULL THEN 20 WHEN f.organization_id IS NOT NULL THEN 0 ELSE w.attempts + 1
            END,
            due_at = CASE WHEN f.organization_id IS NOT NULL THEN now() ELSE now() + make_interval(
                secs => least(longest_pause, first_pause * power(2, w.attempts)) * (0.5 + random() / 2)
            ) END
        FROM found f WHERE w.id = f.id AND w.organization_id IS NULL RETURNING w.organization_id
    )
    SELECT c.organization_id FROM changed c WHERE c.organization_id IS NOT NULL
    UNION SELECT c.organization_id FROM copied c
$body$;

REVOKE ALL ON FUNCTION system.attribute_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.attribute_events TO nudge_app;

RESET ROLE;
