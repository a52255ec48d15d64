-- Everything that the foundation created; partitions, indexes and policies are dropped with their tables.
DROP TABLE
    ai_messages, ai_conversations,
    audit_events, idempotency_keys, webhook_inbox, provider_budgets,
    email_deliveries, campaign_stats, campaign_recipients, campaigns, templates,
    outbox, sender_confirmations, senders,
    contact_events, suppressions, list_memberships, lists, contact_tags, contacts,
    refresh_tokens, user_sessions, users, organizations
    CASCADE;
DROP SCHEMA system CASCADE;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
SET LOCAL ROLE nudge_definer;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
RESET ROLE;
REVOKE SELECT ON alembic_version FROM nudge_app;
