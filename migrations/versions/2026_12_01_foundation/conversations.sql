CREATE TABLE ai_conversations (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    title text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_ai_conversations PRIMARY KEY (id),
    CONSTRAINT uq_ai_conversations_organization_id_user_id_id UNIQUE (organization_id, user_id, id),
    CONSTRAINT fk_ai_conversations_organization_id_user_id FOREIGN KEY (organization_id, user_id)
        REFERENCES users (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_ai_conversations_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_ai_conversations_organization_id_user_id_updated_at_id
    ON ai_conversations (organization_id, user_id, updated_at, id);

CREATE TABLE ai_messages (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    role text NOT NULL,
    status text NOT NULL,
    content text NOT NULL DEFAULT '',
    model text,
    usage jsonb NOT NULL DEFAULT '{}'::jsonb,
    error_code text,
    error_message text,
    attempt integer NOT NULL DEFAULT 0,
    last_sequence integer NOT NULL DEFAULT 0,
    lease_token uuid,
    lease_until timestamptz,
    cancel_requested_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    CONSTRAINT pk_ai_messages PRIMARY KEY (id),
    CONSTRAINT fk_ai_messages_organization_id_user_id_conversation_id
        FOREIGN KEY (organization_id, user_id, conversation_id)
        REFERENCES ai_conversations (organization_id, user_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_ai_messages_role CHECK (role IN ('user', 'assistant')),
    CONSTRAINT ck_ai_messages_status CHECK (status IN ('pending', 'streaming', 'completed', 'cancelled', 'failed')),
    CONSTRAINT fk_ai_messages_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_ai_messages_open ON ai_messages (id) WHERE status IN ('pending', 'streaming');
CREATE INDEX ix_ai_messages_organization_id_conversation_id_created_at_id
    ON ai_messages (organization_id, conversation_id, created_at, id);
