-- Reserves so many messages of a provider account's rate, and returns the seconds to wait before sending them: a rate
-- limit without bursts. Each reservation begins at the end of the previous one, so that all workers together stay below
-- the rate. A negative wait means that the account was idle.

SET LOCAL ROLE nudge_definer;

CREATE OR REPLACE FUNCTION system.reserve_sending(account text, messages integer, per_second float8)
RETURNS TABLE (wait_seconds float8)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $body$
    INSERT INTO provider_budgets AS b (account, reserved_until)
    VALUES ($1, clock_timestamp() + make_interval(secs => messages / per_second))
    ON CONFLICT (account) DO UPDATE
    SET reserved_until = greatest(b.reserved_until, clock_timestamp()) + make_interval(secs => messages / per_second)
    RETURNING extract(epoch FROM reserved_until - clock_timestamp())::float8 - messages / per_second
$body$;

REVOKE ALL ON FUNCTION system.reserve_sending FROM PUBLIC;
GRANT EXECUTE ON FUNCTION system.reserve_sending TO nudge_app;

RESET ROLE;
