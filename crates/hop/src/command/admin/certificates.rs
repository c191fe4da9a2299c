//! `hop admin cert`: the only issuer so far. A certificate is on record before it is signed.

use super::table::Row;
use super::{Desk, keys, written};
use crate::cli::admin::{CertCommand, Permit};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_ca::{Permits, SignerError, UserRequest};
use hop_keys::PublicKey;
use hop_store::{Actor, IssuedCertificate, NewCertificate, Timestamp};
use serde::Serialize;

#[derive(Serialize)]
struct CertificateRow {
    serial: String,
    fingerprint: String,
    created: String,
    expires: String,
}

impl From<&IssuedCertificate> for CertificateRow {
    fn from(certificate: &IssuedCertificate) -> Self {
        Self {
            serial: certificate.serial.to_string(),
            fingerprint: certificate.fingerprint.to_string(),
            created: written(certificate.created),
            expires: written(certificate.expires),
        }
    }
}

impl Row for CertificateRow {
    const COLUMNS: &'static [&'static str] = &["serial", "key", "created", "expires"];
    fn cells(&self) -> Vec<String> {
        vec![self.serial.clone(), self.fingerprint.clone(), self.created.clone(), self.expires.clone()]
    }
}

#[derive(Serialize)]
struct Issued {
    serial: String,
    certificate: String,
    expires: String,
}

pub(super) async fn certificate(desk: &Desk, command: &CertCommand) -> Result<(), CommandError> {
    let store = desk.operations.store();
    let actor = || Actor { through: hop_store::Through::Command, ..Actor::site() };
    match command {
        CertCommand::Issue { account, file, valid, force_command, source_address, no } => {
            let account = desk.account(account).await?;
            let text = keys::read(file)?;
            let (key, _) = PublicKey::parse_line(text.trim()).or_fail(ErrorKind::Config)?;
            let now = desk.operations.now();
            let serial = serial();
            let new = NewCertificate {
                serial,
                account: account.id,
                fingerprint: key.fingerprint(),
                expires: now.plus(*valid),
            };
            let mut change = store.change(actor(), now).await.or_fail(ErrorKind::Unavailable)?;
            change.certificates().add(&new).await.or_fail(ErrorKind::Unavailable)?;
            change.commit().await.or_fail(ErrorKind::Unavailable)?;
            let request = UserRequest {
                person: account.id.to_string(),
                serial,
                public_key: key.to_line("").trim().to_owned(),
                lifetime: valid.as_secs(),
                force_command: force_command.clone(),
                source_address: source_address.clone(),
                permits: Permits {
                    pty: !no.contains(&Permit::Pty),
                    port_forwarding: !no.contains(&Permit::PortForwarding),
                    agent_forwarding: !no.contains(&Permit::AgentForwarding),
                    x11_forwarding: !no.contains(&Permit::X11Forwarding),
                },
            };
            let issued = desk.signer.sign_user(request).await.map_err(not_signed)?;
            let expires = written(Timestamp::from_seconds(issued.valid_before));
            output::note(&format!("certificate {serial} for {}, until {expires}", account.name));
            let document =
                Issued { serial: serial.to_string(), certificate: issued.certificate.clone(), expires };
            desk.say(&document, &issued.certificate)
        }
        CertCommand::List { account } => {
            let account = desk.account(account).await?.id;
            let found = store.certificates().list_of_account(account, desk.operations.now()).await;
            let found = found.or_fail(ErrorKind::Unavailable)?;
            desk.list(&found.iter().map(CertificateRow::from).collect::<Vec<_>>())
        }
        CertCommand::Revoke { serial } => {
            let mut change =
                store.change(actor(), desk.operations.now()).await.or_fail(ErrorKind::Unavailable)?;
            let revoked = change.certificates().revoke(*serial).await.or_fail(ErrorKind::Unavailable)?;
            change.commit().await.or_fail(ErrorKind::Unavailable)?;
            if !revoked {
                let words = format!("there is no certificate {serial} that still counts");
                return Err(CommandError::new(ErrorKind::Config, words));
            }
            let words = format!("certificate {serial} opens nothing any more");
            desk.say(&serde_json::json!({ "revoked": serial.to_string() }), &words)
        }
        CertCommand::Ca => {
            let keys = desk.signer.public_keys().await.map_err(not_signed)?;
            desk.say(&keys, &format!("{}\n{}", keys.user_ca, keys.host_ca))
        }
    }
}

fn not_signed(error: SignerError) -> CommandError {
    match error {
        SignerError::Refused(_) => CommandError::new(ErrorKind::Config, error),
        SignerError::Unreachable { .. } => CommandError::new(ErrorKind::Unavailable, error)
            .hint("the signer runs with the site: start it with hop up or hop serve"),
    }
}

/// A number that nobody guesses and no other certificate has.
fn serial() -> u64 {
    let [_, _, a, b, c, d, e, f, g, h] = crate::site::records::random();
    u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1)
}
