-- The smallest UUIDv7 of a time, to a millisecond: ids that were generated before it are smaller, later ones are not.

CREATE OR REPLACE FUNCTION system.first_uuid(moment timestamptz)
RETURNS uuid
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$body$;

REVOKE ALL ON FUNCTION system.first_uuid FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.first_uuid TO nudge_definer;
