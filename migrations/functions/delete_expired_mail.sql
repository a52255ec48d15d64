-- Deletes at most so many outbox messages that were finished 30 days ago, and as many expired confirmations of
-- senders, over all organizations; returns how many. The policies for it are named `expired`.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.delete_expired_mail(max_rows integer)
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    WITH of_outbox AS (
        DELETE FROM outbox WHERE id IN
        (SELECT id FROM outbox WHERE finished_at <= now() - interval '30 days' LIMIT max_rows)
        RETURNING 1
    ), of_confirmations AS (
        DELETE FROM sender_confirmations WHERE fingerprint IN
        (SELECT fingerprint FROM sender_confirmations WHERE expires_at <= now() LIMIT max_rows)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM of_outbox) + (SELECT count(*) FROM of_confirmations)
$body$;

REVOKE ALL ON FUNCTION system.delete_expired_mail FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.delete_expired_mail TO nudge_app;

RESET ROLE;
