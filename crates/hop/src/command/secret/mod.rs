//! `hop secret`: what logins may use without a person.
//!
//! Must stay true: nothing here prints a secret.

mod list;
mod set;

use super::out::places;
use super::vault::Secrets;
use crate::cli::secret::{Secret, SecretAction, SecretEnable, SecretKind, SecretRemove};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::answers::Answers;
use hop_connect::Alias;
use hop_secrets::{Kind, Label};

pub(crate) fn run(arguments: &Secret) -> Result<(), CommandError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().or_fail(ErrorKind::Internal)?;
    match &arguments.action {
        SecretAction::Set(arguments) => runtime.block_on(set::run(arguments)),
        SecretAction::List(arguments) => list::run(arguments),
        SecretAction::Enable(arguments) => runtime.block_on(enable(arguments)),
        SecretAction::Remove(arguments) => runtime.block_on(remove(arguments)),
    }
}

fn answers() -> Answers {
    Answers::within(&places::state())
}

impl SecretKind {
    fn kind(self) -> Kind {
        match self {
            Self::Password => Kind::Password,
            Self::Totp => Kind::Totp,
            Self::Passphrase => Kind::Passphrase,
        }
    }
}

/// Those that are meant: the one that was named, or all of the host.
fn meant(host: &Alias, named: Option<SecretKind>) -> Result<Vec<Kind>, CommandError> {
    let book = answers().read().or_fail(ErrorKind::Config)?;
    let named = named.map(SecretKind::kind);
    let stored: Vec<Kind> = book.of(host).into_iter().flat_map(|host| host.secrets.keys().copied()).collect();
    let meant: Vec<Kind> =
        stored.into_iter().filter(|kind| named.is_none_or(|named| named == *kind)).collect();
    if meant.is_empty() {
        let what = named.map_or("secret", Kind::name);
        let error = CommandError::new(ErrorKind::Config, format!("there is no {what} stored for {host}"));
        return Err(error.hint("hop secret list shows what there is"));
    }
    Ok(meant)
}

async fn enable(arguments: &SecretEnable) -> Result<(), CommandError> {
    let host = &arguments.host;
    let kinds = meant(host, arguments.kind)?;
    let mut secrets = Secrets::of_user().await;
    for kind in &kinds {
        if secrets.find(&Label::new(host.as_str(), *kind)).await?.is_none() {
            let error =
                CommandError::new(ErrorKind::Config, format!("the {kind} of {host} is not there any more"));
            return Err(error.hint(format!("hop secret set {host} {kind}")));
        }
    }
    let change = |book: &mut hop_broker::answers::Book| {
        for (_, entrusted) in book.of_mut(host).secrets.iter_mut().filter(|(kind, _)| kinds.contains(kind)) {
            entrusted.stopped = None;
        }
    };
    answers().change(change).or_fail(ErrorKind::Config)?;
    output::note(&format!("{} of {host}: used again from the next login on", names(&kinds)));
    Ok(())
}

async fn remove(arguments: &SecretRemove) -> Result<(), CommandError> {
    let host = &arguments.host;
    let kinds = meant(host, arguments.kind)?;
    let mut secrets = Secrets::of_user().await;
    for kind in &kinds {
        let _ = secrets.remove(&Label::new(host.as_str(), *kind)).await?;
    }
    let change = |book: &mut hop_broker::answers::Book| {
        let of_host = book.of_mut(host);
        of_host.secrets.retain(|kind, _| !kinds.contains(kind));
        of_host.questions.retain(|_, answering| !answering.kinds().iter().any(|kind| kinds.contains(kind)));
        if of_host.secrets.is_empty() {
            book.hosts.remove(host.as_str());
        }
    };
    answers().change(change).or_fail(ErrorKind::Config)?;
    output::note(&format!("{} of {host}: forgotten", names(&kinds)));
    Ok(())
}

fn names(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}
