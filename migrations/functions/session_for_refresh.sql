-- The session and the user of a refresh token, by the token's hash. Used tokens are found as well, because reuse
-- indicates a theft.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.session_for_refresh(fingerprint bytea)
RETURNS TABLE (organization_id uuid, user_id uuid, session_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT t.organization_id, s.user_id, t.session_id
    FROM refresh_tokens t JOIN user_sessions s ON (s.organization_id, s.id) = (t.organization_id, t.session_id)
    WHERE t.fingerprint = $1
$body$;

REVOKE ALL ON FUNCTION system.session_for_refresh FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.session_for_refresh TO nudge_app;

RESET ROLE;
