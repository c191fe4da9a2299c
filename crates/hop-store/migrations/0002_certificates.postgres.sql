-- Certificates that the site's CA issued: their numbers are stored before they leave. 0002_certificates.sqlite.sql has the
-- same. A serial is TEXT, because it has 64 bits and the integers here have a sign.

CREATE TABLE certificates (
    serial TEXT PRIMARY KEY NOT NULL,
    account TEXT NOT NULL REFERENCES accounts (id),
    fingerprint TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    revoked BIGINT
);

CREATE INDEX certificates_of_account ON certificates (account, created);
