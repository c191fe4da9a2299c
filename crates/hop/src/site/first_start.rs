//! The first start of a site: somebody who runs it, a project to try, and keys that open it. Later starts find all that
//! and only make a new sign-in link.

use super::announcement::{FirstProject, SignIn};
use crate::error::{CommandError, ErrorKind, OrFail};
use hop_portal::PublicNames;
use hop_portal::operations::{Caller, KeyPlace, KeySource, Operations, RefusedKeyReason};
use hop_store::{Account, AccountName, Alias, Through, Title};
use std::time::Duration;

/// The first account's name.
const ADMIN: &str = "admin";
/// The first project's alias.
const FIRST: &str = "first";
/// How long the printed link counts.
const LINK: Duration = Duration::from_secs(12 * 3600);

/// What was found or made.
#[derive(Debug)]
pub(crate) struct FirstStart {
    pub(crate) sign_in: Option<SignIn>,
    pub(crate) project: Option<FirstProject>,
    pub(crate) complaints: Vec<String>,
}

/// Makes what is missing. `offered_keys` are for the first account; those that it has already are no complaint.
pub(crate) async fn prepare(
    operations: &Operations,
    names: &PublicNames,
    offered_keys: &[String],
) -> Result<FirstStart, CommandError> {
    let caller = Caller::operator(Through::Site);
    let Some(admin) = admin(operations, &caller).await? else {
        return Ok(FirstStart { sign_in: None, project: None, complaints: Vec::new() });
    };
    let complaints = add_keys(operations, &caller, &admin, offered_keys).await?;
    let link = operations.make_sign_in_link(&caller, admin.id, LINK).await.or_fail(ErrorKind::Internal)?;
    let keys = operations.account_keys(&caller, admin.id).await.or_fail(ErrorKind::Internal)?.len();
    let projects =
        operations.store().projects().list_of_account(admin.id).await.or_fail(ErrorKind::Internal)?;
    let project = projects.into_iter().next().map(|(project, _)| FirstProject {
        id: project.id.to_string(),
        command: names.ssh_command(&project.alias.map_or(project.id.to_string(), |alias| alias.to_string())),
        keys,
    });
    let sign_in = SignIn {
        account: admin.name.to_string(),
        link: names.sign_in_link(&link.token),
        seconds: LINK.as_secs(),
    };
    Ok(FirstStart { sign_in: Some(sign_in), project, complaints })
}

/// The first account; `None` on a site that people have named otherwise.
async fn admin(operations: &Operations, caller: &Caller) -> Result<Option<Account>, CommandError> {
    let name = AccountName::parse(ADMIN).or_fail(ErrorKind::Internal)?;
    let accounts = operations.store().accounts();
    if let Some(found) = accounts.find_by_name(&name).await.or_fail(ErrorKind::Unavailable)? {
        return Ok(Some(found));
    }
    if accounts.count().await.or_fail(ErrorKind::Unavailable)? > 0 {
        return Ok(None);
    }
    let admin = operations.add_account(caller, &name, true).await.or_fail(ErrorKind::Internal)?;
    let title = Title::parse("First project").or_fail(ErrorKind::Internal)?;
    let alias = Alias::parse(FIRST).or_fail(ErrorKind::Internal)?;
    operations.add_project(caller, admin.id, &title, Some(&alias)).await.or_fail(ErrorKind::Internal)?;
    Ok(Some(admin))
}

async fn add_keys(
    operations: &Operations,
    caller: &Caller,
    admin: &Account,
    offered: &[String],
) -> Result<Vec<String>, CommandError> {
    if offered.is_empty() {
        return Ok(Vec::new());
    }
    let source = KeySource::Paste(offered.join("\n"));
    let added = operations.add_keys(caller, KeyPlace::Account(admin.id), None, &source, None).await;
    let refused = added.or_fail(ErrorKind::Config)?.refused.into_iter();
    Ok(refused
        .filter(|key| !matches!(key.reason, RefusedKeyReason::Duplicate { .. }))
        .map(|key| format!("a key in ~/.ssh is not used: {}", key.reason))
        .collect())
}
