-- Deletes at most so many rows of each table whose retention has ended, over all organizations; returns how many.
-- The policies named `expired` allow to delete these rows and no others. A used refresh token is retained for 30 days,
-- because its reuse indicates a theft. The condition on the inbox's ids allows an index scan for the old events.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.delete_expired(max_rows integer)
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    WITH of_idempotency_keys AS (
        DELETE FROM idempotency_keys WHERE (organization_id, key) IN
        (SELECT organization_id, key FROM idempotency_keys WHERE expires_at <= now() LIMIT max_rows)
        RETURNING 1
    ), of_refresh_tokens AS (
        DELETE FROM refresh_tokens WHERE fingerprint IN
        (SELECT fingerprint FROM refresh_tokens WHERE used_at <= now() - interval '30 days' LIMIT max_rows)
        RETURNING 1
    ), of_user_sessions AS (
        DELETE FROM user_sessions WHERE id IN
        (SELECT id FROM user_sessions WHERE least(expires_at, ended_at) <= now() - interval '30 days' LIMIT max_rows)
        RETURNING 1
    ), of_webhook_inbox AS (
        DELETE FROM webhook_inbox WHERE id IN (
            SELECT id FROM webhook_inbox
            WHERE id < system.first_uuid(now() - interval '30 days') AND received_at <= now() - interval '30 days'
            AND (applied_at IS NOT NULL OR (organization_id IS NULL AND attempts >= 20)) LIMIT max_rows
        )
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM of_idempotency_keys) + (SELECT count(*) FROM of_refresh_tokens)
        + (SELECT count(*) FROM of_user_sessions) + (SELECT count(*) FROM of_webhook_inbox)
$body$;

REVOKE ALL ON FUNCTION system.delete_expired FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.delete_expired TO nudge_app;

RESET ROLE;
