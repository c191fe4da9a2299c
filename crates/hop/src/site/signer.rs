//! The signer's process: the CA keys, and a socket on which the site asks for certificates.

use super::leash::{Leash, Orders, Report};
use super::role::{Unready, unix_listener, until_let_go};
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_ca::{Authority, Rules, Signer};
use std::os::fd::OwnedFd;
use tokio::net::UnixListener;

/// Serves until the supervisor lets go.
pub(crate) async fn run(orders: Orders, descriptors: Vec<OwnedFd>, leash: Leash) -> Result<(), Unready> {
    match prepare(&orders, descriptors) {
        Ok((signer, listener)) => {
            leash.report(&Report::Ready(serde_json::Value::Null));
            signer.serve(listener, until_let_go(leash)).await;
            Ok(())
        }
        Err(error) => Err(Unready { error, leash: Some(leash) }),
    }
}

fn prepare(orders: &Orders, descriptors: Vec<OwnedFd>) -> Result<(Signer, UnixListener), CommandError> {
    let listener =
        UnixListener::from_std(unix_listener(orders, descriptors)?).or_fail(ErrorKind::Internal)?;
    let authority = Authority::keep(&orders.settings.data.join("signer")).or_fail(ErrorKind::Config)?;
    // Root asks for `hop admin`.
    Ok((Signer::new(authority, Rules::default(), vec![orders.users.site(), 0]), listener))
}
