-- Finds the organizations that webhook events waiting without one belong to; returns those that got events. By the
-- campaign's id in the metadata, else by the provider's message id. An event that names an address (email_norm) is
-- copied to every organization that knows the address, and the original is finished (20 attempts). Another attempt
-- follows after 5, 20, 45... seconds: the delivery may not have its message id yet.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.attribute_events(max_events integer)
RETURNS TABLE (organization_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    WITH waiting AS MATERIALIZED (
        SELECT w.id, w.email_norm, w.payload->'Metadata'->>'campaign' AS campaign, w.payload->>'MessageID' AS message
        FROM webhook_inbox w WHERE w.organization_id IS NULL AND w.attempts < 20
        AND w.received_at <= now() - make_interval(secs => 5 * w.attempts * w.attempts)
        ORDER BY w.attempts, w.id LIMIT max_events FOR UPDATE SKIP LOCKED
    ), named AS MATERIALIZED (
        SELECT w.id, w.email_norm, w.message,
            CASE WHEN pg_input_is_valid(w.campaign, 'uuid') THEN w.campaign::uuid END AS campaign
        FROM waiting w
    ),
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
$body$;

REVOKE ALL ON FUNCTION system.attribute_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.attribute_events TO nudge_app;

RESET ROLE;
