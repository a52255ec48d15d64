-- The schema of our functions. The app's role calls them; the definer owns those that read several organizations.
CREATE SCHEMA system;
GRANT USAGE ON SCHEMA system TO nudge_app;
GRANT USAGE, CREATE ON SCHEMA system TO nudge_definer;

-- PUBLIC may not execute new functions. This is for the whole database, as it has no effect for a single schema.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
SET LOCAL ROLE nudge_definer;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
RESET ROLE;

-- `nudge api` and `nudge worker` check the revision.
GRANT SELECT ON alembic_version TO nudge_app;
