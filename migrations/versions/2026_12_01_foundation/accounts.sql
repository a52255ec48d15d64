CREATE TABLE organizations (
    id uuid NOT NULL,
    name text NOT NULL,
    slug text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}'::jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_organizations PRIMARY KEY (id),
    CONSTRAINT uq_organizations_slug UNIQUE (slug)
);

CREATE TABLE users (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    email text NOT NULL,
    email_norm text NOT NULL,
    password_hash text NOT NULL,
    full_name text NOT NULL,
    role text NOT NULL,
    preferences jsonb NOT NULL DEFAULT '{}'::jsonb,
    last_login_at timestamptz,
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT ck_users_role CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
    CONSTRAINT uq_users_organization_id_id UNIQUE (organization_id, id),
    CONSTRAINT fk_users_organization_id FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT uq_users_email_norm UNIQUE (email_norm)
);

CREATE TABLE user_sessions (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_reason text,
    CONSTRAINT pk_user_sessions PRIMARY KEY (id),
    CONSTRAINT uq_user_sessions_organization_id_id UNIQUE (organization_id, id),
    CONSTRAINT fk_user_sessions_organization_id_user_id FOREIGN KEY (organization_id, user_id)
        REFERENCES users (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_user_sessions_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_user_sessions_organization_id_user_id ON user_sessions (organization_id, user_id);

CREATE TABLE refresh_tokens (
    fingerprint bytea NOT NULL,
    organization_id uuid NOT NULL,
    session_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz,
    CONSTRAINT pk_refresh_tokens PRIMARY KEY (fingerprint),
    CONSTRAINT fk_refresh_tokens_organization_id_session_id FOREIGN KEY (organization_id, session_id)
        REFERENCES user_sessions (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_refresh_tokens_organization_id FOREIGN KEY (organization_id)
        REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX ix_refresh_tokens_organization_id_session_id ON refresh_tokens (organization_id, session_id);
