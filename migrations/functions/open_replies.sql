-- A page of Maya's replies that no worker is generating, not started or with an expired lease, after a message's id.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.open_replies(after uuid, max_rows integer)
RETURNS TABLE (organization_id uuid, user_id uuid, message_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT m.organization_id, m.user_id, m.id FROM ai_messages m
    WHERE m.status IN ('pending', 'streaming') AND (m.lease_until IS NULL OR m.lease_until < now())
    AND m.id > after ORDER BY m.id LIMIT max_rows
$body$;

REVOKE ALL ON FUNCTION system.open_replies FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.open_replies TO nudge_app;

RESET ROLE;
