-- The schema of our functions. The app calls them; the definer owns those that look across organizations.
CREATE SCHEMA system;
GRANT USAGE ON SCHEMA system TO nudge_app;
GRANT USAGE, CREATE ON SCHEMA system TO nudge_definer;

-- A new function is closed to PUBLIC from the start. In the database as a whole: for one schema it would change nothing.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
SET LOCAL ROLE nudge_definer;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
RESET ROLE;

-- `nudge api` and `nudge worker` compare the revision.
GRANT SELECT ON alembic_version TO nudge_app;
