-- The first schema. 0001_site.postgres.sql has the same tables and columns; a test compares them.
-- Times are microseconds since 1970, ids 32 hexadecimal digits, JSON is TEXT.

CREATE TABLE hop_schema (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    migrated INTEGER NOT NULL
) STRICT;

-- One row. Every change updates it first, so that changes follow one another and the numbers below are given in the
-- order of commits.
CREATE TABLE site (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    changes INTEGER NOT NULL,
    last_revocation INTEGER NOT NULL,
    audit_seq INTEGER NOT NULL,
    audit_hash TEXT NOT NULL
) STRICT;

CREATE TABLE accounts (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended')),
    admin INTEGER NOT NULL CHECK (admin IN (0, 1)),
    password_hash TEXT,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE projects (
    id TEXT PRIMARY KEY NOT NULL,
    alias TEXT UNIQUE,
    title TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'removed')),
    environment_kind TEXT NOT NULL,
    environment_settings TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE freed_aliases (
    alias TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL REFERENCES projects (id),
    freed INTEGER NOT NULL
) STRICT;

CREATE TABLE members (
    project TEXT NOT NULL REFERENCES projects (id),
    account TEXT NOT NULL REFERENCES accounts (id),
    role TEXT NOT NULL CHECK (role IN ('owner', 'collaborator')),
    added INTEGER NOT NULL,
    PRIMARY KEY (project, account)
) STRICT;
CREATE INDEX members_account ON members (account);

-- A key of an account has account = holder and no project; a key of a project has the member who holds it.
CREATE TABLE public_keys (
    id TEXT PRIMARY KEY NOT NULL,
    account TEXT REFERENCES accounts (id),
    project TEXT REFERENCES projects (id),
    holder TEXT NOT NULL REFERENCES accounts (id),
    title TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    blob BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    md5_fingerprint TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    expiry_recorded INTEGER NOT NULL CHECK (expiry_recorded IN (0, 1)),
    last_used INTEGER,
    last_used_address TEXT,
    last_used_project TEXT,
    CHECK ((account IS NULL) <> (project IS NULL)),
    CHECK (account IS NULL OR account = holder),
    UNIQUE (account, fingerprint),
    UNIQUE (project, fingerprint)
) STRICT;
CREATE INDEX public_keys_fingerprint ON public_keys (fingerprint);
CREATE INDEX public_keys_holder ON public_keys (holder);
CREATE INDEX public_keys_due ON public_keys (expires) WHERE expires IS NOT NULL AND NOT expiry_recorded;

CREATE TABLE invitations (
    id TEXT PRIMARY KEY NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    project TEXT REFERENCES projects (id),
    role TEXT CHECK (role IN ('owner', 'collaborator')),
    created_by TEXT REFERENCES accounts (id),
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    used INTEGER,
    used_by TEXT REFERENCES accounts (id),
    CHECK ((project IS NULL) = (role IS NULL)),
    CHECK ((used IS NULL) = (used_by IS NULL))
) STRICT;

CREATE TABLE sign_in_links (
    id TEXT PRIMARY KEY NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id),
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    used INTEGER
) STRICT;

CREATE TABLE web_sessions (
    id TEXT PRIMARY KEY NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id),
    created INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    idle INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    address TEXT,
    user_agent TEXT NOT NULL
) STRICT;
CREATE INDEX web_sessions_account ON web_sessions (account);

-- A record: it refers to nothing, so that what it names may go.
CREATE TABLE ssh_sessions (
    id TEXT PRIMARY KEY NOT NULL,
    gateway TEXT NOT NULL,
    account TEXT NOT NULL,
    project TEXT NOT NULL,
    source_project TEXT,
    key_fingerprint TEXT NOT NULL,
    key_title TEXT NOT NULL,
    client_address TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    bytes_from_client INTEGER NOT NULL,
    bytes_to_client INTEGER NOT NULL,
    end_cause TEXT,
    end_detail TEXT,
    CHECK ((ended IS NULL) = (end_cause IS NULL))
) STRICT;
CREATE INDEX ssh_sessions_project ON ssh_sessions (project, id);
CREATE INDEX ssh_sessions_account ON ssh_sessions (account, id);
CREATE INDEX ssh_sessions_live ON ssh_sessions (gateway) WHERE ended IS NULL;

CREATE TABLE revocations (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    account TEXT,
    project TEXT,
    fingerprint TEXT,
    serial TEXT,
    session TEXT
) STRICT;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT,
    through TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    account TEXT,
    project TEXT,
    detail TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_account ON audit (account, seq);
CREATE INDEX audit_project ON audit (project, seq);

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;

INSERT INTO site (id, changes, last_revocation, audit_seq, audit_hash)
VALUES (1, 0, 0, 0, '0000000000000000000000000000000000000000000000000000000000000000');
