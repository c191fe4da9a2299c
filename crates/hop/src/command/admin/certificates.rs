//! `hop admin cert`: the only issuer so far. A certificate is on record before it is signed.

use super::table::Row;
use super::{Desk, failed, keys, written};
use crate::cli::admin::{CertCommand, Permit};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_ca::{Permits, SignerError};
use hop_keys::PublicKey;
use hop_portal::operations::{CertificateError, CertificateWish};
use hop_store::IssuedCertificate;
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
    let Desk { operations, caller, signer, .. } = desk;
    match command {
        CertCommand::Issue { account, file, valid, force_command, source_address, no } => {
            let account = desk.account(account).await?;
            let text = keys::read(file)?;
            let (key, _) = PublicKey::parse_line(text.trim()).or_fail(ErrorKind::Config)?;
            let wish = CertificateWish {
                key,
                lifetime: *valid,
                force_command: force_command.clone(),
                source_address: source_address.clone(),
                permits: Permits {
                    pty: !no.contains(&Permit::Pty),
                    port_forwarding: !no.contains(&Permit::PortForwarding),
                    agent_forwarding: !no.contains(&Permit::AgentForwarding),
                    x11_forwarding: !no.contains(&Permit::X11Forwarding),
                },
            };
            let issued = operations.issue_certificate(caller, signer, account.id, wish).await;
            let issued = issued.map_err(refused)?;
            let (serial, expires) = (issued.serial, written(issued.expires));
            output::note(&format!("certificate {serial} for {}, until {expires}", account.name));
            let document =
                Issued { serial: serial.to_string(), certificate: issued.certificate.clone(), expires };
            desk.say(&document, &issued.certificate)
        }
        CertCommand::List { account } => {
            let account = desk.account(account).await?.id;
            let found = operations.account_certificates(caller, account).await.map_err(refused)?;
            desk.list(&found.iter().map(CertificateRow::from).collect::<Vec<_>>())
        }
        CertCommand::Revoke { serial } => {
            operations.revoke_certificate(caller, *serial).await.map_err(refused)?;
            let words = format!("certificate {serial} opens nothing any more");
            desk.say(&serde_json::json!({ "revoked": serial.to_string() }), &words)
        }
        CertCommand::Ca => {
            let keys = signer.public_keys().await.map_err(|error| refused(error.into()))?;
            desk.say(&keys, &format!("{}\n{}", keys.user_ca, keys.host_ca))
        }
    }
}

fn refused(error: CertificateError) -> CommandError {
    let failed = failed(error.kind(), &error);
    match error {
        CertificateError::Signer(SignerError::Unreachable { .. }) => {
            failed.hint("the signer runs with the site: start it with hop up or hop serve")
        }
        _ => failed,
    }
}
