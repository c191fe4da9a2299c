//! `hop admin account` and `hop admin invitation`.

use super::table::Row;
use super::{Desk, done, written};
use crate::cli::admin::{AccountCommand, InvitationCommand};
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_store::{Account, AccountName, InvitationId};
use serde::Serialize;
use std::time::Duration;

/// How long the link of a new account counts.
const FIRST_LINK: Duration = Duration::from_secs(7 * 24 * 3600);
/// Accounts read at once.
const PAGE: u32 = 500;

#[derive(Serialize)]
struct AccountRow {
    name: String,
    state: String,
    admin: bool,
    id: String,
    created: String,
}

impl From<&Account> for AccountRow {
    fn from(account: &Account) -> Self {
        Self {
            name: account.name.to_string(),
            state: account.state.as_str().to_owned(),
            admin: account.admin,
            id: account.id.to_string(),
            created: written(account.created),
        }
    }
}

impl Row for AccountRow {
    const COLUMNS: &'static [&'static str] = &["name", "state", "admin", "created", "id"];
    fn cells(&self) -> Vec<String> {
        let admin = if self.admin { "admin" } else { "" };
        vec![self.name.clone(), self.state.clone(), admin.to_owned(), self.created.clone(), self.id.clone()]
    }
}

#[derive(Serialize)]
struct Link<'a> {
    account: &'a str,
    link: String,
    expires: String,
}

pub(super) async fn account(desk: &Desk, command: &AccountCommand) -> Result<(), CommandError> {
    let Desk { operations, caller, .. } = desk;
    match command {
        AccountCommand::List => {
            let mut rows = Vec::new();
            let mut after: Option<AccountName> = None;
            loop {
                let page = operations.store().accounts().list(after.as_ref(), PAGE).await;
                let page = page.or_fail(ErrorKind::Unavailable)?;
                rows.extend(page.iter().map(AccountRow::from));
                match page.last() {
                    Some(last) => after = Some(last.name.clone()),
                    None => return desk.list(&rows),
                }
            }
        }
        AccountCommand::Add { name, admin } => {
            let name = AccountName::parse(name).or_fail(ErrorKind::Config)?;
            let account = done!(operations.add_account(caller, &name, *admin).await)?;
            print_link(desk, &account, FIRST_LINK).await
        }
        AccountCommand::Link { name, valid } => print_link(desk, &desk.account(name).await?, *valid).await,
        AccountCommand::Suspend { name } => {
            let account = desk.account(name).await?;
            done!(operations.suspend_account(caller, account.id).await)?;
            shown(desk, name).await
        }
        AccountCommand::Activate { name } => {
            let account = desk.account(name).await?;
            done!(operations.activate_account(caller, account.id).await)?;
            shown(desk, name).await
        }
    }
}

async fn shown(desk: &Desk, name: &str) -> Result<(), CommandError> {
    let account = desk.account(name).await?;
    desk.say(&AccountRow::from(&account), &format!("{} is {}", account.name, account.state.as_str()))
}

async fn print_link(desk: &Desk, account: &Account, valid: Duration) -> Result<(), CommandError> {
    let link = done!(desk.operations.make_sign_in_link(&desk.caller, account.id, valid).await)?;
    let (address, expires) = (desk.names.sign_in_link(&link.token), written(link.expires));
    let words = format!("{} signs in once, until {expires}, at\n\n    {address}\n", account.name);
    desk.say(&Link { account: account.name.as_str(), link: address, expires }, &words)
}

#[derive(Serialize)]
struct InvitationRow {
    id: String,
    project: Option<String>,
    role: Option<String>,
    expires: String,
}

impl Row for InvitationRow {
    const COLUMNS: &'static [&'static str] = &["id", "project", "role", "expires"];
    fn cells(&self) -> Vec<String> {
        let Self { id, project, role, expires } = self;
        vec![
            id.clone(),
            project.clone().unwrap_or_default(),
            role.clone().unwrap_or_default(),
            expires.clone(),
        ]
    }
}

#[derive(Serialize)]
struct InvitationLink {
    id: String,
    link: String,
    expires: String,
}

pub(super) async fn invitation(desk: &Desk, command: &InvitationCommand) -> Result<(), CommandError> {
    let Desk { operations, caller, .. } = desk;
    match command {
        InvitationCommand::List { project } => {
            let project = match project {
                Some(name) => Some(desk.project(name).await?.id),
                None => None,
            };
            let open = operations.store().invitations().list_open(project, operations.now(), 1000).await;
            let rows: Vec<_> = open
                .or_fail(ErrorKind::Unavailable)?
                .into_iter()
                .map(|invitation| InvitationRow {
                    id: invitation.id.to_string(),
                    project: invitation.membership.map(|(project, _)| project.to_string()),
                    role: invitation.membership.map(|(_, role)| role.as_str().to_owned()),
                    expires: written(invitation.expires),
                })
                .collect();
            desk.list(&rows)
        }
        InvitationCommand::Add { project, role, valid } => {
            let membership = match project {
                Some(name) => Some((desk.project(name).await?.id, (*role).into())),
                None => None,
            };
            let invited = done!(operations.invite(caller, membership, *valid).await)?;
            let (link, expires) = (desk.names.invitation_link(&invited.token), written(invited.expires));
            let words =
                format!("Whoever opens this link first, until {expires}, gets an account\n\n    {link}\n");
            desk.say(&InvitationLink { id: invited.id.to_string(), link, expires }, &words)
        }
        InvitationCommand::Remove { id } => {
            let parsed = InvitationId::parse(id).ok_or_else(|| not_an_id("an invitation", id))?;
            done!(operations.withdraw_invitation(caller, None, parsed).await)?;
            desk.say(&serde_json::json!({ "removed": id }), "withdrawn")
        }
    }
}

/// For what is typed as an id and is none.
pub(super) fn not_an_id(what: &str, id: &str) -> CommandError {
    let words = format!("\"{}\" is not the id of {what}: 32 hexadecimal digits", id.escape_debug());
    CommandError::new(ErrorKind::Config, words)
}
