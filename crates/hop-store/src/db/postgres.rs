//! Connections to a PostgreSQL server, by a connection URL.

use std::net::IpAddr;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};

use crate::db::Db;
use crate::error::{DatabaseError, StoreError};
use crate::open::OpenError;

/// Connections at most; one more listens for revocations.
const CONNECTIONS: u32 = 8;
/// How long to look for a server or a free connection before a login is refused.
const ACQUIRE: Duration = Duration::from_secs(3);

/// Connects. What the URL leaves out the driver takes, as libpq does, from PG* variables and the password file.
pub(crate) async fn connect(url: &str) -> Result<Db, OpenError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| OpenError::Url { source: DatabaseError::new(error) })?;
    check_encryption(&options)?;
    let options = options.application_name("hop").options([
        // A statement that waits longer helps nobody: the login it belongs to has been given up.
        ("statement_timeout", "10s"),
        ("lock_timeout", "5s"),
        // Who began a change and died must not hold up the others.
        ("idle_in_transaction_session_timeout", "10s"),
    ]);
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .connect_with(options.clone())
        .await
        .map_err(|error| OpenError::Store(StoreError::from_driver("connect to PostgreSQL", error)))?;
    Ok(Db::Postgres { pool, options })
}

/// This build speaks no TLS to a server; over a network that must be somebody's decision, written in the URL.
fn check_encryption(options: &PgConnectOptions) -> Result<(), OpenError> {
    let host = options.get_host();
    let is_local = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_local || matches!(options.get_ssl_mode(), PgSslMode::Disable) {
        return Ok(());
    }
    Err(OpenError::Unencrypted { host: host.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unencrypted_connection_over_a_network_is_asked_for_by_name() {
        let cases = [
            ("postgres://hop@localhost/hop", true),
            ("postgres://hop@127.0.0.1/hop", true),
            ("postgres://hop@[::1]/hop", true),
            ("postgres://hop@localhost/hop?host=/run/postgresql", true),
            ("postgres://hop@db.example.org/hop?sslmode=disable", true),
            ("postgres://hop@db.example.org/hop?sslmode=prefer", false),
            ("postgres://hop@192.0.2.1/hop?sslmode=require", false),
        ];
        for (url, wanted) in cases {
            let options = PgConnectOptions::from_str(url).unwrap();
            assert_eq!(check_encryption(&options).is_ok(), wanted, "{url}");
        }
    }
}
