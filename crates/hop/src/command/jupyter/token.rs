//! The token: from the person, judged, traded for a small one, stored, renewed.

use super::{failed, hub, record, records, save};
use crate::cli::YesNo;
use crate::cli::jupyter::{Login, TokenArguments};
use crate::command::out::times::span;
use crate::command::proxy::token::read_token_file;
use crate::command::vault::{Secrets, ask_hidden, ask_yes_no};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_jupyter::{Holder, Hub, HubError, Record, least_scopes, missing, surplus};
use hop_link::Secret;
use hop_secrets::{Kind, Label};
use jiff::Timestamp;
use std::path::Path;

/// A token that can do what SSH needs.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) token: Secret,
    pub(crate) user: String,
    id: Option<String>,
    end: Option<Timestamp>,
    renews: bool,
    lifetime: u64,
}

/// Whose server a token is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// `None`: the token's owner.
    pub(crate) user: Option<&'a str>,
    pub(crate) server: &'a str,
}

/// A token that is stored already and still good for this server.
pub(crate) async fn stored(
    hub: &Hub,
    secrets: &mut Secrets,
    wanted: Wanted<'_>,
) -> Result<Option<(Held, Record)>, CommandError> {
    let known = records().list().or_fail(ErrorKind::Config)?;
    let user = |record: &Record| wanted.user.is_none_or(|user| user == record.user);
    let Some(known) = known.into_iter().find(|record| record.hub == *hub.address() && user(record)) else {
        return Ok(None);
    };
    let Some(token) = secrets.find(&label(&known)).await? else { return Ok(None) };
    let asking = hub.with_token(token.clone());
    let Ok(holder) = asking.holder().await else { return Ok(None) };
    if !missing(&holder.scopes, &known.user, wanted.server, &holder.groups).is_empty() {
        return Ok(None);
    }
    let (id, end, renews, lifetime) = (known.token_id.clone(), known.token_end, known.renews, known.lifetime);
    Ok(Some((Held { token, user: known.user.clone(), id, end, renews, lifetime }, known)))
}

/// A token from the person: judged, and traded for a small one where that is possible.
pub(crate) async fn obtain(
    hub: &Hub,
    wanted: Wanted<'_>,
    arguments: &TokenArguments,
) -> Result<Held, CommandError> {
    let given = match &arguments.token_file {
        Some(path) => read_token_file(path)?,
        None => ask_for(hub, wanted)?,
    };
    let asking = hub.with_token(given.clone());
    let holder = asking.holder().await.map_err(|error| failed(error).hint(make_one(hub, wanted.user)))?;
    let user = match wanted.user {
        Some(user) => user.to_owned(),
        None if holder.kind == "service" => {
            let words = format!("the token belongs to the service {}, not to a person", holder.name);
            return Err(
                CommandError::new(ErrorKind::Config, words).hint("--user NAME says whose server is meant")
            );
        }
        None => holder.name.clone(),
    };
    let lacking = missing(&holder.scopes, &user, wanted.server, &holder.groups);
    if !lacking.is_empty() {
        let error = failed(HubError::TooSmall { missing: lacking });
        return Err(error.hint(make_one(hub, Some(&user))));
    }
    let may_make = may_make_tokens(&holder, &user);
    if arguments.renew && !may_make {
        let words = format!("the token may not make its successor: it lacks tokens!user={user}");
        return Err(
            CommandError::new(ErrorKind::Denied, words).hint("leave out --renew, or make one with it")
        );
    }
    let excess = surplus(&holder.scopes, &user, arguments.renew);
    if excess.is_empty() || !may_make {
        if !excess.is_empty() {
            output::warning(&format!("the token may do more than SSH needs: {}", some_of(&excess)));
        }
        let end = match &holder.token_id {
            Some(id) => asking.token_end(&user, id).await.ok().flatten(),
            None => None,
        };
        let lifetime = arguments.expires.as_secs();
        return Ok(Held { token: given, user, id: holder.token_id, end, renews: arguments.renew, lifetime });
    }
    trade(&asking, &holder, user, arguments).await
}

/// Has the Hub make a small token, and offers to revoke the large one.
async fn trade(
    asking: &Hub,
    holder: &Holder,
    user: String,
    arguments: &TokenArguments,
) -> Result<Held, CommandError> {
    let scopes = least_scopes(&user, arguments.renew);
    let made = asking.make_token(&user, &scopes, arguments.expires, &note()).await.map_err(failed)?;
    let ends = made.expires_at.map(|end| format!(", for {}", until(end))).unwrap_or_default();
    output::note(&format!("The Hub made a token that may only start and reach the server of {user}{ends}."));
    if let Some(large) = holder.token_id.as_deref() {
        let revoke = match arguments.revoke_large {
            Some(whether) => whether == YesNo::Yes,
            None => {
                ask_yes_no("Revoke the token that you gave? It may do much more, and is not needed here.")?
                    .unwrap_or(false)
            }
        };
        if revoke {
            asking.revoke(&user, large).await.map_err(failed)?;
            output::note("The token that you gave is revoked.");
        } else {
            let page = asking.address().token_page();
            output::note(&format!("The token that you gave is still good; it can be revoked at {page}"));
        }
    }
    let lifetime = arguments.expires.as_secs();
    Ok(Held { token: made.token, user, id: made.id, end: made.expires_at, renews: arguments.renew, lifetime })
}

/// Stores it, for every server of this person at this Hub.
pub(crate) async fn store(secrets: &mut Secrets, held: &Held, of: &mut Record) -> Result<(), CommandError> {
    let place = secrets.set(&label(of), &held.token).await?;
    output::note(&format!("The token is in {place}."));
    note_facts(held, of)
}

pub(crate) fn note_facts(held: &Held, of: &mut Record) -> Result<(), CommandError> {
    let write = |record: &mut Record| {
        record.token_id.clone_from(&held.id);
        (record.token_end, record.renews, record.lifetime) = (held.end, held.renews, held.lifetime);
    };
    for mut other in records().list().or_fail(ErrorKind::Config)? {
        if other.label() == of.label() && other.alias != of.alias {
            write(&mut other);
            save(&other)?;
        }
    }
    write(of);
    Ok(())
}

/// `hop jupyter login`.
pub(crate) async fn login(arguments: &Login) -> Result<(), CommandError> {
    let mut record = record(&arguments.name)?;
    let mut secrets = Secrets::of_user().await;
    renew_by_person(&mut record, &mut secrets, &arguments.token).await?;
    output::line(&format!("ssh {}", record.alias));
    Ok(())
}

/// A new token from the person, stored; the keys over there live as long.
pub(crate) async fn renew_by_person(
    record: &mut Record,
    secrets: &mut Secrets,
    arguments: &TokenArguments,
) -> Result<Secret, CommandError> {
    let hub = hub(&record.hub, record.ca_file.as_deref())?;
    let wanted = Wanted { user: Some(&record.user), server: &record.server };
    let held = obtain(&hub, wanted, arguments).await?;
    store(secrets, &held, record).await?;
    if !super::keys::prolong(record, &held.token).await {
        output::note(&match record.key_file {
            Some(_) => "The key over there gets its new end at the next ssh.".to_owned(),
            None => {
                format!("The keys over there keep their end: hop jupyter add {} puts them anew.", record.hub)
            }
        });
    }
    save(record)?;
    Ok(held.token)
}

/// The stored token of a server; renewed when less than a third of its life is left and it may make its successor.
pub(crate) async fn current(
    record: &mut Record,
    secrets: &mut Secrets,
) -> Result<Option<Secret>, CommandError> {
    let Some(token) = secrets.find(&label(record)).await? else { return Ok(None) };
    let Some(end) = record.token_end else { return Ok(Some(token)) };
    let left = u64::try_from(end.as_second() - Timestamp::now().as_second()).unwrap_or(0);
    if left == 0 {
        // It may be this machine's clock that is wrong: the Hub decides.
        output::note(&format!("the token has ended: hop jupyter login {} gives a new one", record.alias));
    }
    if left > record.lifetime / 3 || left == 0 {
        return Ok(Some(token));
    }
    if !record.renews {
        output::note(&format!("the token ends in {}: hop jupyter login {}", span(left), record.alias));
        return Ok(Some(token));
    }
    // Several logins at once renew it once: whoever comes second finds that it is done.
    let _alone = records().lock().or_fail(ErrorKind::Config)?;
    match records().find(&record.alias).or_fail(ErrorKind::Config)? {
        Some(renewed) if renewed.token_end != record.token_end => {
            *record = renewed;
            return secrets.find(&label(record)).await;
        }
        _ => {}
    }
    match successor(record, secrets, &token).await {
        Ok(token) => Ok(Some(token)),
        // The old one is still good.
        Err(error) => {
            output::warning(&format!(
                "the token ends in {} and is not renewed: {}",
                span(left),
                error.message()
            ));
            Ok(Some(token))
        }
    }
}

async fn successor(record: &mut Record, secrets: &mut Secrets, old: &Secret) -> Result<Secret, CommandError> {
    let asking = hub(&record.hub, record.ca_file.as_deref())?.with_token(old.clone());
    let (user, time) = (record.user.clone(), std::time::Duration::from_secs(record.lifetime));
    let made = asking.make_token(&user, &least_scopes(&user, true), time, &note()).await.map_err(failed)?;
    secrets.set(&label(record), &made.token).await?;
    let before = record.token_id.clone();
    let (id, end, lifetime) = (made.id, made.expires_at, record.lifetime);
    let held = Held { token: made.token, user: user.clone(), id, end, renews: true, lifetime };
    note_facts(&held, record)?;
    save(record)?;
    if let Some(before) = before {
        // It ends by itself; another login may still be at work with it.
        let _ = asking.with_token(held.token.clone()).revoke(&user, &before).await;
    }
    Ok(held.token)
}

/// What the token is called among the secrets.
pub(crate) fn label(record: &Record) -> Label {
    Label::new(record.label(), Kind::Token)
}

/// How long until then.
pub(crate) fn until(end: Timestamp) -> String {
    span(u64::try_from(end.as_second() - Timestamp::now().as_second()).unwrap_or(0))
}

/// Whether the token may make others of the person whose it is. An admin could make one in another's name; the server would
/// take it for its owner's, and let it put keys.
fn may_make_tokens(holder: &Holder, user: &str) -> bool {
    let own = format!("tokens!user={user}");
    let is_own = holder.name == user && holder.kind != "service";
    is_own && holder.scopes.iter().any(|scope| *scope == own || scope == "tokens" || scope == "admin:users")
}

fn ask_for(hub: &Hub, wanted: Wanted<'_>) -> Result<Secret, CommandError> {
    let page = hub.address().token_page();
    output::note(&format!("Make a token at {page} and paste it here."));
    output::note(
        "Leave its permissions empty, and hop trades it for a small one that ends by itself; or write these there:",
    );
    let user = wanted.user.unwrap_or("NAME");
    output::note(&format!("  {}", least_scopes(user, false).join(" ")));
    open_in_browser(&page);
    let token = ask_hidden("Token: ", "the token")?;
    let token = Secret::new(token.expose().trim().to_owned());
    if token.is_empty() {
        return Err(CommandError::new(ErrorKind::Interrupted, "no token was given"));
    }
    Ok(token)
}

fn make_one(hub: &Hub, user: Option<&str>) -> String {
    let scopes = least_scopes(user.unwrap_or("NAME"), false).join(" ");
    format!(
        "make one at {}: leave its permissions empty, or write there: {scopes}",
        hub.address().token_page()
    )
}

/// Opens a page where there is a desktop. Nothing hangs on it.
pub(crate) fn open_in_browser(page: &str) {
    let has_desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if !has_desktop {
        return;
    }
    use std::process::{Command, Stdio};
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    let _ = quiet(Command::new("xdg-open").arg(page));
}

/// What the Hub's page shows beside the token.
fn note() -> String {
    format!("hop on {}", machine())
}

/// The name of this machine.
pub(crate) fn machine() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    name.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).take(60).collect()
}

fn some_of(scopes: &[&str]) -> String {
    let some: Vec<_> = scopes.iter().take(4).copied().collect();
    let more = if scopes.len() > some.len() { ", …" } else { "" };
    format!("{}{more}", some.join(", "))
}

/// Whether a path stands for standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}
