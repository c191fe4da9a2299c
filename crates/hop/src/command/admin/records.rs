//! `hop admin session` and `hop admin audit`.

use super::accounts::not_an_id;
use super::table::Row;
use super::{Desk, done, written};
use crate::cli::admin::{AuditCommand, SessionCommand};
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_store::{AuditEntry, AuditFilter, AuditVerdict, SshSession, SshSessionId};
use serde::Serialize;

/// Sessions shown at once.
const MOST: u32 = 10_000;

#[derive(Serialize)]
struct SessionRow {
    id: String,
    account: String,
    project: String,
    key: String,
    fingerprint: String,
    client: String,
    source_project: Option<String>,
    started: String,
    bytes_from_client: u64,
    bytes_to_client: u64,
}

impl SessionRow {
    async fn new(desk: &Desk, session: &SshSession) -> Result<Self, CommandError> {
        Ok(Self {
            id: session.id.to_string(),
            account: desk.account_name(session.account).await?,
            project: session.project.to_string(),
            key: session.key_title.clone(),
            fingerprint: session.key_fingerprint.to_string(),
            client: session.client.to_string(),
            source_project: session.source_project.map(|project| project.to_string()),
            started: written(session.started),
            bytes_from_client: session.bytes_from_client,
            bytes_to_client: session.bytes_to_client,
        })
    }
}

impl Row for SessionRow {
    const COLUMNS: &'static [&'static str] = &["id", "account", "project", "key", "from", "since"];
    fn cells(&self) -> Vec<String> {
        let Self { id, account, project, key, client, started, .. } = self;
        [id, account, project, key, client, started].map(Clone::clone).to_vec()
    }
}

pub(super) async fn session(desk: &Desk, command: &SessionCommand) -> Result<(), CommandError> {
    let Desk { operations, caller, .. } = desk;
    match command {
        SessionCommand::List { project, account } => {
            let found = match (project, account) {
                (Some(project), _) => {
                    let project = desk.project(project).await?.id;
                    done!(operations.project_sessions(caller, project, MOST).await)?
                }
                (None, Some(account)) => {
                    let account = desk.account(account).await?.id;
                    done!(operations.account_sessions(caller, account, MOST).await)?
                }
                (None, None) => done!(operations.all_sessions(caller, MOST).await)?,
            };
            let mut rows = Vec::new();
            for session in &found {
                rows.push(SessionRow::new(desk, session).await?);
            }
            desk.list(&rows)
        }
        SessionCommand::End { id } => {
            let parsed = SshSessionId::parse(id).ok_or_else(|| not_an_id("a session", id))?;
            let session = done!(operations.end_ssh_session(caller, parsed).await)?;
            let row = SessionRow::new(desk, &session).await?;
            desk.say(&row, &format!("the session of {} ends now", row.account))
        }
    }
}

#[derive(Serialize)]
struct AuditLine {
    seq: u64,
    at: String,
    actor: Option<String>,
    through: String,
    address: Option<String>,
    action: String,
    account: Option<String>,
    project: Option<String>,
    detail: serde_json::Value,
    hash: String,
}

impl From<AuditEntry> for AuditLine {
    fn from(entry: AuditEntry) -> Self {
        Self {
            seq: entry.seq,
            at: written(entry.at),
            actor: entry.actor.map(|id| id.to_string()),
            through: entry.through.to_string(),
            address: entry.address.map(|address| address.to_string()),
            action: entry.action,
            account: entry.account.map(|id| id.to_string()),
            project: entry.project.map(|id| id.to_string()),
            detail: entry.detail,
            hash: entry.hash,
        }
    }
}

impl Row for AuditLine {
    const COLUMNS: &'static [&'static str] =
        &["row", "time", "through", "action", "account", "project", "detail"];
    fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.seq.to_string(),
            self.at.clone(),
            self.through.clone(),
            self.action.clone(),
            text(&self.account),
            text(&self.project),
            self.detail.to_string(),
        ]
    }
}

pub(super) async fn audit(desk: &Desk, command: &AuditCommand) -> Result<(), CommandError> {
    let Desk { operations, caller, .. } = desk;
    match command {
        AuditCommand::List { most } => {
            let rows = done!(operations.audit(caller, AuditFilter::All, None, *most).await)?;
            desk.list(&rows.into_iter().map(AuditLine::from).collect::<Vec<_>>())
        }
        AuditCommand::Verify => {
            match operations.store().audit().verify().await.or_fail(ErrorKind::Unavailable)? {
                AuditVerdict::Intact { rows, head } => {
                    let words =
                        format!("all {rows} rows are as they were written; the last one's hash is {head}");
                    desk.say(&serde_json::json!({ "intact": true, "rows": rows, "head": head }), &words)
                }
                AuditVerdict::Broken { seq, fault } => {
                    let words = format!("the audit trail was tampered with: row {seq}: {fault}");
                    Err(CommandError::new(ErrorKind::Internal, words))
                }
            }
        }
    }
}
