//! `hop admin`: what the pages do, from a shell. Every change is one of the operations that the pages call.

mod accounts;
mod certificates;
mod keys;
mod projects;
mod records;
mod table;

use super::server;
use crate::cli::admin::{Admin, AdminCommand};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use crate::site::data::{DataDirectory, SiteNote};
use crate::site::names;
use crate::site::records as site_records;
use crate::site::settings::Settings;
use hop_ca::SignerClient;
use hop_portal::PublicNames;
use hop_portal::operations::{self, Caller, Operations};
use hop_store::{Account, AccountName, Preparation, Project, Through, Timestamp};
use serde::Serialize;
use table::Row;

/// An opened site.
struct Desk {
    operations: Operations,
    caller: Caller,
    names: PublicNames,
    signer: SignerClient,
    json: bool,
}

/// Does one thing.
pub(crate) fn run(arguments: &Admin) -> Result<(), CommandError> {
    server::log_to_stderr("warn");
    server::runtime()?.block_on(async {
        let desk = Desk::open(arguments).await?;
        let done = match &arguments.what {
            AdminCommand::Account(command) => accounts::account(&desk, command).await,
            AdminCommand::Invitation(command) => accounts::invitation(&desk, command).await,
            AdminCommand::Project(command) => projects::project(&desk, command).await,
            AdminCommand::Member(command) => projects::member(&desk, command).await,
            AdminCommand::Key(command) => keys::key(&desk, command).await,
            AdminCommand::Cert(command) => certificates::certificate(&desk, command).await,
            AdminCommand::Session(command) => records::session(&desk, command).await,
            AdminCommand::Audit(command) => records::audit(&desk, command).await,
        };
        desk.operations.store().close().await;
        done
    })
}

impl Desk {
    async fn open(arguments: &Admin) -> Result<Self, CommandError> {
        let mut settings = match &arguments.config {
            Some(file) => Settings::read(file)?,
            None => Settings { data: arguments.data.clone(), ..Settings::default() },
        };
        let data = DataDirectory::find(&settings.data)?;
        settings.data = data.root().to_owned();
        let note = data.noted().unwrap_or_else(|| {
            // As after a start that failed, or with a `run` that was cleaned up.
            output::warning(
                "where this site listens is not known until it runs again; the addresses said here are those of its \
                 settings",
            );
            SiteNote {
                ssh: settings.ssh,
                http: settings.http,
                host_keys: Vec::new(),
                sandbox: settings.projects.sandbox,
            }
        });
        let store = site_records::open(&settings, Preparation::ExpectCurrent).await?;
        Ok(Self {
            operations: site_records::operations(store, note.sandbox),
            caller: Caller::operator(Through::Command),
            names: names::of(&settings, note.ssh, note.http, &[])?,
            signer: SignerClient::at(&settings.data.join("run/signer.sock")),
            json: arguments.json,
        })
    }

    async fn account(&self, name: &str) -> Result<Account, CommandError> {
        let parsed = AccountName::parse(name).or_fail(ErrorKind::Config)?;
        let found = self.operations.store().accounts().find_by_name(&parsed).await;
        found.or_fail(ErrorKind::Unavailable)?.ok_or_else(|| {
            CommandError::new(ErrorKind::Config, format!("there is no account \"{parsed}\""))
                .hint("hop admin account list shows those that there are")
        })
    }

    async fn project(&self, name: &str) -> Result<Project, CommandError> {
        let found = self.operations.store().projects().find_by_name(name).await;
        found.or_fail(ErrorKind::Unavailable)?.ok_or_else(|| {
            CommandError::new(ErrorKind::Config, format!("there is no project \"{}\"", name.escape_debug()))
                .hint("hop admin project list shows those that there are, by id and alias")
        })
    }

    /// The names of accounts, for lists.
    async fn account_name(&self, id: hop_store::AccountId) -> Result<String, CommandError> {
        let found =
            self.operations.store().accounts().find_by_id(id).await.or_fail(ErrorKind::Unavailable)?;
        Ok(found.map_or_else(|| id.to_string(), |account| account.name.to_string()))
    }

    /// Prints a list.
    fn list<R: Row + Serialize>(&self, rows: &[R]) -> Result<(), CommandError> {
        if self.json {
            return rows.iter().try_for_each(output::json);
        }
        table::print(rows);
        Ok(())
    }

    /// Prints one thing: the document for scripts, the words for people.
    fn say(&self, document: &impl Serialize, words: &str) -> Result<(), CommandError> {
        if self.json {
            return output::json(document);
        }
        output::line(words);
        Ok(())
    }
}

/// A time as scripts and people read it (RFC 3339), in seconds.
fn written(time: Timestamp) -> String {
    match jiff::Timestamp::from_second(time.as_micros().div_euclid(1_000_000)) {
        Ok(time) => time.to_string(),
        Err(_) => "for ever".to_owned(),
    }
}

/// How an operation's refusal ends the command.
fn failed(kind: operations::ErrorKind, error: &dyn std::fmt::Display) -> CommandError {
    use operations::ErrorKind as Kind;
    let kind = match kind {
        Kind::Invalid | Kind::Conflict | Kind::Absent => ErrorKind::Config,
        Kind::Denied => ErrorKind::Denied,
        Kind::Temporary => ErrorKind::Unavailable,
        Kind::Failed => ErrorKind::Internal,
    };
    CommandError::new(kind, error)
}

/// Turns the refusals of operations into failed commands.
macro_rules! done {
    ($result:expr) => {
        $result.map_err(|error| $crate::command::admin::failed(error.kind(), &error))
    };
}
use done;
