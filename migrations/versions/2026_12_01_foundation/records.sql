CREATE TABLE audit_events (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    actor_kind text NOT NULL,
    user_id uuid,
    api_key_id uuid,
    on_behalf_of uuid,
    action text NOT NULL,
    target_id uuid NOT NULL,
    changes jsonb NOT NULL DEFAULT '{}'::jsonb,
    request_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_audit_events PRIMARY KEY (id),
    CONSTRAINT ck_audit_events_actor_kind CHECK (actor_kind IN ('user', 'api_key', 'maya', 'system')),
    CONSTRAINT ck_audit_events_actor CHECK (
        (user_id IS NOT NULL) = (actor_kind = 'user')
        AND (api_key_id IS NOT NULL) = (actor_kind = 'api_key')
        AND (on_behalf_of IS NOT NULL) = (actor_kind = 'maya')
    ),
    CONSTRAINT fk_audit_events_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_audit_events_organization_id_created_at_id ON audit_events (organization_id, created_at, id);

CREATE TABLE idempotency_keys (
    organization_id uuid NOT NULL,
    key text NOT NULL,
    operation text NOT NULL,
    arguments_hash bytea NOT NULL,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (organization_id, key),
    CONSTRAINT fk_idempotency_keys_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
