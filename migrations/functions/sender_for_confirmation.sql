-- The sender of a confirmation link, by the hash of the link's token, until the link expires.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.sender_for_confirmation(fingerprint bytea)
RETURNS TABLE (organization_id uuid, sender_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT c.organization_id, c.sender_id FROM sender_confirmations c
    WHERE c.fingerprint = $1 AND c.expires_at > now()
$body$;

REVOKE ALL ON FUNCTION system.sender_for_confirmation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.sender_for_confirmation TO nudge_app;

RESET ROLE;
