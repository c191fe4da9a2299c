//! `hop secret set`: one is typed or piped, judged, stored; and what it may be used for is written down.

use super::answers;
use crate::cli::secret::{SecretKind, SecretSet};
use crate::command::out::{daemon, ssh_config};
use crate::command::vault::{Secrets, ask_hidden, ask_yes_no};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_broker::answers::{Answering, Book, Entrusted};
use hop_broker::prompt::Class;
use hop_broker::prompt::class::Hint;
use hop_connect::resolve::{Given, Resolved, Ssh, resolve};
use hop_secrets::{Kind, Label, Secret, Totp};
use std::io::Read;
use std::path::PathBuf;

/// The longest line that is read from standard input, in bytes.
const LONGEST: u64 = 4096;

pub(super) async fn run(arguments: &SecretSet) -> Result<(), CommandError> {
    let (host, kind) = (&arguments.host, arguments.kind.kind());
    let mut questions =
        arguments.question.iter().map(|text| of_a_person(text, kind)).collect::<Result<Vec<_>, _>>()?;
    let settings = daemon::host_settings().read(&[host.as_str()]).or_fail(ErrorKind::Config)?;
    let program = settings.program.unwrap_or_else(|| "ssh".to_owned()).into();
    let resolved = resolve(&Ssh { program, environment: vec![] }, host, &Given::default()).await;
    let resolved = resolved.or_fail(ErrorKind::Config)?;
    if kind == Kind::Totp {
        let names = [host.as_str(), resolved.host_name.as_str()];
        if let Err(file) = daemon::host_settings().read(&names).or_fail(ErrorKind::Config)?.totp {
            let reason = format!("{} forbids to compute codes of {host} (totp = \"never\")", file.display());
            return Err(CommandError::new(ErrorKind::Denied, reason));
        }
        site_allows(arguments)?;
    }
    if questions.is_empty() {
        questions.extend(of_ssh(kind, &resolved));
    }
    let secret = if arguments.stdin { from_stdin()? } else { from_terminal(arguments.kind)? };
    let mut entrusted = Entrusted::default();
    if kind == Kind::Totp {
        let totp = Totp::parse(secret.expose()).or_fail(ErrorKind::Config)?;
        entrusted.site_allows = true;
        (entrusted.fingerprint, entrusted.period) = (Some(totp.fingerprint()), Some(totp.period()));
    }
    let place = Secrets::of_user().await.set(&Label::new(host.as_str(), kind), &secret).await?;
    let learns = questions.is_empty();
    let change = |book: &mut Book| {
        let of_host = book.of_mut(host);
        of_host.secrets.insert(kind, entrusted);
        of_host.questions.extend(questions);
    };
    answers().change(change).or_fail(ErrorKind::Config)?;
    output::note(&format!("The {kind} of {host} is stored in {place}."));
    if learns {
        output::hint(&format!(
            "answer once more yourself: hop login {host}; from then on the same question is answered for you"
        ));
    }
    Ok(())
}

/// The site's word is needed, by the person's.
fn site_allows(arguments: &SecretSet) -> Result<(), CommandError> {
    if arguments.site_allows_it {
        return Ok(());
    }
    let host = &arguments.host;
    let question = format!(
        "With this, a program makes the second factor, and many sites forbid that.\n\
         Have you made sure that the site of {host} allows it?"
    );
    if ask_yes_no(&question)?.is_some_and(|yes| yes) {
        return Ok(());
    }
    let error = CommandError::new(
        ErrorKind::Denied,
        format!("nothing was stored: it is not said that the site of {host} allows it"),
    );
    Err(error.hint("ask the site's support; --site-allows-it says so in a script"))
}

/// A question that was given on the command line.
fn of_a_person(text: &str, kind: Kind) -> Result<(String, Answering), CommandError> {
    let answering =
        Answering::of(Class::of(text, Hint::Answer)).filter(|found| found.kinds().contains(&kind));
    let refused = || {
        let reason = format!("\"{text}\" is no question that a {kind} answers");
        let hint = "a question is one of ssh or of the site, as it is shown when you log in; others are always a person's";
        CommandError::new(ErrorKind::Config, reason).hint(hint)
    };
    Ok((text.trim().to_owned(), answering.ok_or_else(refused)?))
}

/// Those of ssh itself are known word by word (sshconnect2.c); a key's only where it is plain which key is meant.
fn of_ssh(kind: Kind, resolved: &Resolved) -> Vec<(String, Answering)> {
    match kind {
        Kind::Password => {
            vec![(format!("{}@{}'s password:", resolved.user, resolved.host_name), Answering::Password)]
        }
        Kind::Passphrase => {
            let home = ssh_config::home();
            let path = |named: &String| match named.strip_prefix("~/") {
                Some(rest) => home.join(rest),
                None => PathBuf::from(named),
            };
            let keys: Vec<PathBuf> =
                resolved.identity_files.iter().map(path).filter(|path| path.is_file()).collect();
            match keys.as_slice() {
                [key] => {
                    vec![(format!("Enter passphrase for key '{}':", key.display()), Answering::Passphrase)]
                }
                _ => vec![],
            }
        }
        Kind::Totp | Kind::Token => vec![],
    }
}

fn from_stdin() -> Result<Secret, CommandError> {
    let mut text = zeroize::Zeroizing::new(String::new());
    std::io::stdin().take(LONGEST).read_to_string(&mut text).or_fail(ErrorKind::Config)?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    if line.is_empty() {
        return Err(CommandError::new(ErrorKind::Config, "there is nothing on standard input"));
    }
    Ok(Secret::new(line))
}

fn from_terminal(kind: SecretKind) -> Result<Secret, CommandError> {
    let what = match kind {
        SecretKind::Password => "The password: ",
        SecretKind::Passphrase => "The passphrase of the key: ",
        SecretKind::Totp => return ask_hidden("The otpauth:// link, or the base32 text: ", "the seed"),
    };
    let first = ask_hidden(what, "it")?;
    let again = ask_hidden("Once more: ", "it")?;
    if first.expose() != again.expose() {
        return Err(CommandError::new(ErrorKind::Config, "the two differ; nothing was stored"));
    }
    if first.is_empty() {
        return Err(CommandError::new(ErrorKind::Config, "nothing was typed; nothing was stored"));
    }
    Ok(first)
}
