-- Creates a monthly partition with its policy; returns 1 if it was created, else 0. It is created as a table and then
-- attached, which takes a weaker lock on the parent, so that readers are not blocked. If the default partition has
-- rows of the month already, or the lock is not acquired in time, it is not created, and a warning is raised.

CREATE OR REPLACE FUNCTION system.add_partition(parent text, month timestamptz, low text, high text, fill integer)
RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    part text := parent || to_char(month AT TIME ZONE 'UTC', '_YYYY_MM');
    rule constant text :=
        $rule$organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid)$rule$;
BEGIN
    IF to_regclass('public.' || part) IS NOT NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
        'INCLUDING GENERATED INCLUDING STATISTICS) WITH (fillfactor = %s)', part, parent, fill);
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', part);
    EXECUTE format('CREATE POLICY tenant ON public.%I TO nudge_app USING (%s) WITH CHECK (%s)', part, rule, rule);
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        parent, part, low, high);
    RETURN 1;
EXCEPTION WHEN lock_not_available OR check_violation THEN
    RAISE WARNING 'partition % was not made: %', part, SQLERRM;
    RETURN 0;
END
$body$;

REVOKE ALL ON FUNCTION system.add_partition FROM PUBLIC;
