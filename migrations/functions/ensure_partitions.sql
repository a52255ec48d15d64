-- Creates the monthly partitions from last month to three months from now; returns how many were created. Runs as the
-- owner of the tables, as only the owner may add a partition; it reads no rows. A month whose lock is not acquired
-- within two seconds is left for the next call.

CREATE OR REPLACE FUNCTION system.ensure_partitions()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
DECLARE
    month timestamptz;
    following timestamptz;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('partitions', 0));
    PERFORM set_config('lock_timeout', '2s', true);
    FOR month IN SELECT generate_series(
        date_trunc('month', now(), 'UTC') - interval '1 month',
        date_trunc('month', now(), 'UTC') + interval '3 months', interval '1 month')
    LOOP
        following := month + interval '1 month';
        made := made
            + system.add_partition('email_deliveries', month,
                system.first_uuid(month)::text, system.first_uuid(following)::text, 50)
            + system.add_partition('contact_events', month, month::text, following::text, 100);
    END LOOP;
    RETURN made;
END
$body$;

REVOKE ALL ON FUNCTION system.ensure_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.ensure_partitions TO nudge_app;
