-- The first schema. 0001_site.sqlite.sql has the same tables and columns; a test compares them.
-- Times are microseconds since 1970, ids 32 hexadecimal digits, JSON is TEXT.
-- Names sort by bytes, as in SQLite, whatever the locale of the database.

CREATE TABLE hop_schema (
    version BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    migrated BIGINT NOT NULL
);

-- One row. Every change updates it first, so that changes follow one another and the numbers below are given in the
-- order of commits.
CREATE TABLE site (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    changes BIGINT NOT NULL,
    last_revocation BIGINT NOT NULL,
    audit_seq BIGINT NOT NULL,
    audit_hash TEXT NOT NULL
);

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended')),
    admin BOOLEAN NOT NULL,
    password_hash TEXT,
    created BIGINT NOT NULL
);

CREATE TABLE projects (
    id TEXT PRIMARY KEY,
    alias TEXT COLLATE "C" UNIQUE,
    title TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'removed')),
    environment_kind TEXT NOT NULL,
    environment_settings TEXT NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE freed_aliases (
    alias TEXT COLLATE "C" PRIMARY KEY,
    project TEXT NOT NULL REFERENCES projects (id),
    freed BIGINT NOT NULL
);

CREATE TABLE members (
    project TEXT NOT NULL REFERENCES projects (id),
    account TEXT NOT NULL REFERENCES accounts (id),
    role TEXT NOT NULL CHECK (role IN ('owner', 'collaborator')),
    added BIGINT NOT NULL,
    PRIMARY KEY (project, account)
);
CREATE INDEX members_account ON members (account);

-- A key of an account has account = holder and no project; a key of a project has the member who holds it.
CREATE TABLE public_keys (
    id TEXT PRIMARY KEY,
    account TEXT REFERENCES accounts (id),
    project TEXT REFERENCES projects (id),
    holder TEXT NOT NULL REFERENCES accounts (id),
    title TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    blob BYTEA NOT NULL,
    fingerprint TEXT NOT NULL,
    md5_fingerprint TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    expiry_recorded BOOLEAN NOT NULL,
    last_used BIGINT,
    last_used_address TEXT,
    last_used_project TEXT,
    CHECK ((account IS NULL) <> (project IS NULL)),
    CHECK (account IS NULL OR account = holder),
    UNIQUE (account, fingerprint),
    UNIQUE (project, fingerprint)
);
CREATE INDEX public_keys_fingerprint ON public_keys (fingerprint);
CREATE INDEX public_keys_holder ON public_keys (holder);
CREATE INDEX public_keys_due ON public_keys (expires) WHERE expires IS NOT NULL AND NOT expiry_recorded;

CREATE TABLE invitations (
    id TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    project TEXT REFERENCES projects (id),
    role TEXT CHECK (role IN ('owner', 'collaborator')),
    created_by TEXT REFERENCES accounts (id),
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT,
    used_by TEXT REFERENCES accounts (id),
    CHECK ((project IS NULL) = (role IS NULL)),
    CHECK ((used IS NULL) = (used_by IS NULL))
);

CREATE TABLE sign_in_links (
    id TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id),
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT
);

CREATE TABLE web_sessions (
    id TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id),
    created BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    idle BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    address TEXT,
    user_agent TEXT NOT NULL
);
CREATE INDEX web_sessions_account ON web_sessions (account);

-- A record: it refers to nothing, so that what it names may go.
CREATE TABLE ssh_sessions (
    id TEXT PRIMARY KEY,
    gateway TEXT NOT NULL,
    account TEXT NOT NULL,
    project TEXT NOT NULL,
    source_project TEXT,
    key_fingerprint TEXT NOT NULL,
    key_title TEXT NOT NULL,
    client_address TEXT NOT NULL,
    started BIGINT NOT NULL,
    ended BIGINT,
    bytes_from_client BIGINT NOT NULL,
    bytes_to_client BIGINT NOT NULL,
    end_cause TEXT,
    end_detail TEXT,
    CHECK ((ended IS NULL) = (end_cause IS NULL))
);
CREATE INDEX ssh_sessions_project ON ssh_sessions (project, id);
CREATE INDEX ssh_sessions_account ON ssh_sessions (account, id);
CREATE INDEX ssh_sessions_live ON ssh_sessions (gateway) WHERE ended IS NULL;

CREATE TABLE revocations (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT,
    project TEXT,
    fingerprint TEXT,
    serial TEXT,
    session TEXT
);

CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT,
    through TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    account TEXT,
    project TEXT,
    detail TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX audit_account ON audit (account, seq);
CREATE INDEX audit_project ON audit (project, seq);

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only';
END
$$;
CREATE TRIGGER audit_no_update_or_delete BEFORE UPDATE OR DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();

INSERT INTO site (id, changes, last_revocation, audit_seq, audit_hash)
VALUES (1, 0, 0, 0, '0000000000000000000000000000000000000000000000000000000000000000');
