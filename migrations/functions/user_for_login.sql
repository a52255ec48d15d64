-- The user with an address, and the user's organization, for a log-in. Addresses are unique over all organizations.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.user_for_login(email_norm text)
RETURNS TABLE (organization_id uuid, user_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT u.organization_id, u.id FROM users u WHERE u.email_norm = $1
$body$;

REVOKE ALL ON FUNCTION system.user_for_login FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.user_for_login TO nudge_app;

RESET ROLE;
