-- Row Level Security and privileges, as migrations/policies.py wrote them from the models.

ALTER TABLE ai_conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_conversations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON ai_conversations TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid) AND user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid) AND user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON ai_conversations TO nudge_app;

ALTER TABLE ai_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_messages FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON ai_messages TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid) AND user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid) AND user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid));
CREATE POLICY definer ON ai_messages FOR SELECT TO nudge_definer
    USING (true);
GRANT SELECT, INSERT, UPDATE ON ai_messages TO nudge_app;
GRANT SELECT (id, organization_id, user_id, status, lease_until) ON ai_messages TO nudge_definer;

ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_events FORCE ROW LEVEL SECURITY;
CREATE POLICY readers ON audit_events FOR SELECT TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid) AND (SELECT current_setting('app.role', true)) IN ('owner', 'admin'));
CREATE POLICY writers ON audit_events FOR INSERT TO nudge_app
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
GRANT SELECT, INSERT ON audit_events TO nudge_app;

ALTER TABLE campaign_recipients ENABLE ROW LEVEL SECURITY;
ALTER TABLE campaign_recipients FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON campaign_recipients TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_recipients TO nudge_app;

ALTER TABLE campaign_stats ENABLE ROW LEVEL SECURITY;
ALTER TABLE campaign_stats FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON campaign_stats TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON campaign_stats FOR SELECT TO nudge_definer
    USING (true);
GRANT SELECT, INSERT, UPDATE ON campaign_stats TO nudge_app;
GRANT SELECT (organization_id, campaign_id, pending, in_flight, unknown) ON campaign_stats TO nudge_definer;

ALTER TABLE campaigns ENABLE ROW LEVEL SECURITY;
ALTER TABLE campaigns FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON campaigns TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON campaigns FOR SELECT TO nudge_definer
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON campaigns TO nudge_app;
GRANT SELECT (id, organization_id, status, scheduled_at) ON campaigns TO nudge_definer;

ALTER TABLE contact_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON contact_events TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_events TO nudge_app;

ALTER TABLE contact_tags ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact_tags FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON contact_tags TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON contact_tags TO nudge_app;

ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;
ALTER TABLE contacts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON contacts TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON contacts FOR SELECT TO nudge_definer
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON contacts TO nudge_app;
GRANT SELECT (organization_id, email_norm) ON contacts TO nudge_definer;

ALTER TABLE email_deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE email_deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON email_deliveries TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON email_deliveries FOR SELECT TO nudge_definer
    USING (true);
GRANT SELECT, INSERT, UPDATE ON email_deliveries TO nudge_app;
GRANT SELECT (organization_id, campaign_id, id, message_id, batch_id, is_open, status, lease_until, next_lookup_at)
    ON email_deliveries TO nudge_definer;

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON idempotency_keys TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON idempotency_keys FOR SELECT TO nudge_definer
    USING (true);
CREATE POLICY expired ON idempotency_keys FOR DELETE TO nudge_definer
    USING (expires_at <= now());
GRANT SELECT, INSERT, UPDATE ON idempotency_keys TO nudge_app;
GRANT SELECT (organization_id, key, expires_at) ON idempotency_keys TO nudge_definer;
GRANT DELETE ON idempotency_keys TO nudge_definer;

ALTER TABLE list_memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE list_memberships FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON list_memberships TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON list_memberships TO nudge_app;

ALTER TABLE lists ENABLE ROW LEVEL SECURITY;
ALTER TABLE lists FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lists TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON lists TO nudge_app;

ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE organizations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON organizations TO nudge_app
    USING (id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON organizations TO nudge_app;

ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON outbox TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON outbox FOR SELECT TO nudge_definer
    USING (true);
CREATE POLICY expired ON outbox FOR DELETE TO nudge_definer
    USING (finished_at <= now() - interval '30 days');
GRANT SELECT, INSERT, UPDATE ON outbox TO nudge_app;
GRANT SELECT (id, organization_id, status, due_at, lease_until, finished_at) ON outbox TO nudge_definer;
GRANT DELETE ON outbox TO nudge_definer;

GRANT SELECT, INSERT, UPDATE ON provider_budgets TO nudge_definer;

ALTER TABLE refresh_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE refresh_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON refresh_tokens TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON refresh_tokens FOR SELECT TO nudge_definer
    USING (true);
CREATE POLICY expired ON refresh_tokens FOR DELETE TO nudge_definer
    USING (used_at <= now() - interval '30 days');
GRANT SELECT, INSERT, UPDATE ON refresh_tokens TO nudge_app;
GRANT SELECT (fingerprint, organization_id, session_id, used_at) ON refresh_tokens TO nudge_definer;
GRANT DELETE ON refresh_tokens TO nudge_definer;

ALTER TABLE sender_confirmations ENABLE ROW LEVEL SECURITY;
ALTER TABLE sender_confirmations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sender_confirmations TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON sender_confirmations FOR SELECT TO nudge_definer
    USING (true);
CREATE POLICY expired ON sender_confirmations FOR DELETE TO nudge_definer
    USING (expires_at <= now());
GRANT SELECT, INSERT, UPDATE, DELETE ON sender_confirmations TO nudge_app;
GRANT SELECT (fingerprint, organization_id, sender_id, expires_at) ON sender_confirmations TO nudge_definer;
GRANT DELETE ON sender_confirmations TO nudge_definer;

ALTER TABLE senders ENABLE ROW LEVEL SECURITY;
ALTER TABLE senders FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON senders TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON senders TO nudge_app;

ALTER TABLE suppressions ENABLE ROW LEVEL SECURITY;
ALTER TABLE suppressions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON suppressions TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON suppressions FOR SELECT TO nudge_definer
    USING (true);
GRANT SELECT, INSERT, UPDATE ON suppressions TO nudge_app;
GRANT SELECT (organization_id, email_norm) ON suppressions TO nudge_definer;

ALTER TABLE templates ENABLE ROW LEVEL SECURITY;
ALTER TABLE templates FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON templates TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON templates TO nudge_app;

ALTER TABLE user_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON user_sessions TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON user_sessions FOR SELECT TO nudge_definer
    USING (true);
CREATE POLICY expired ON user_sessions FOR DELETE TO nudge_definer
    USING (least(expires_at, ended_at) <= now() - interval '30 days');
GRANT SELECT, INSERT, UPDATE ON user_sessions TO nudge_app;
GRANT SELECT (id, organization_id, user_id, expires_at, ended_at) ON user_sessions TO nudge_definer;
GRANT DELETE ON user_sessions TO nudge_definer;

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON users FOR SELECT TO nudge_definer
    USING (true);
GRANT SELECT, INSERT, UPDATE ON users TO nudge_app;
GRANT SELECT (id, organization_id, email_norm) ON users TO nudge_definer;

ALTER TABLE webhook_inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY arrivals ON webhook_inbox FOR INSERT TO nudge_app
    WITH CHECK (organization_id IS NULL);
CREATE POLICY tenant ON webhook_inbox FOR SELECT TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY applying ON webhook_inbox FOR UPDATE TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY definer ON webhook_inbox FOR SELECT TO nudge_definer
    USING (true);
CREATE POLICY attributing ON webhook_inbox FOR UPDATE TO nudge_definer
    USING (organization_id IS NULL)
    WITH CHECK (true);
CREATE POLICY copying ON webhook_inbox FOR INSERT TO nudge_definer
    WITH CHECK (organization_id IS NOT NULL AND email_norm IS NOT NULL);
CREATE POLICY expired ON webhook_inbox FOR DELETE TO nudge_definer
    USING (id < system.first_uuid(now() - interval '30 days') AND received_at <= now() - interval '30 days' AND (applied_at IS NOT NULL OR (organization_id IS NULL AND attempts >= 20)));
GRANT SELECT, INSERT, UPDATE ON webhook_inbox TO nudge_app;
GRANT SELECT (id, organization_id, provider, dedupe_key, campaign_id, message_id, payload, received_at, applied_at, attempts, due_at, email_norm) ON webhook_inbox TO nudge_definer;
GRANT INSERT (id, organization_id, provider, dedupe_key, payload, received_at, email_norm, shared) ON webhook_inbox TO nudge_definer;
GRANT UPDATE (organization_id, attempts, due_at) ON webhook_inbox TO nudge_definer;
GRANT DELETE ON webhook_inbox TO nudge_definer;

ALTER TABLE email_deliveries_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE email_deliveries_default FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON email_deliveries_default TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));

ALTER TABLE contact_events_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact_events_default FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON contact_events_default TO nudge_app
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
