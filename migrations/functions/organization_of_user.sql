-- The organization of a user, for access tokens of an external issuer, which do not contain it.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.organization_of_user(user_id uuid)
RETURNS TABLE (organization_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    SELECT u.organization_id FROM users u WHERE u.id = $1
$body$;

REVOKE ALL ON FUNCTION system.organization_of_user FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.organization_of_user TO nudge_app;

RESET ROLE;
