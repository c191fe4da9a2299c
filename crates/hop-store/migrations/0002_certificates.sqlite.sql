-- Certificates that the site's CA issued: their numbers are stored before they leave. 0002_certificates.postgres.sql has the
-- same. A serial is TEXT, because it has 64 bits and the integers here have a sign.

CREATE TABLE certificates (
    serial TEXT PRIMARY KEY NOT NULL,
    account TEXT NOT NULL REFERENCES accounts (id),
    fingerprint TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER
) STRICT;

CREATE INDEX certificates_of_account ON certificates (account, created);
