//! SSH through a terminal of a Jupyter server in which nothing serves it: `hop endpoint` is run there, and spoken to in lines.
//!
//! What must stay true: a terminal that was opened here is deleted here, however the connection ends; what is typed is the one
//! command, whose only foreign word is a path without any character that a shell reads.

use crate::error::{CommandError, ErrorKind, OrFail};
use hop_link::{
    Answer, ClientOptions, ClientStream, ConnectError, Method, Refusal, Request, Side, Target,
    TerminalReader, TerminalWriter, TunnelError, WebSocket, request,
};
use serde::Deserialize;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::signal::unix::{SignalKind, signal};

/// For the shell's start-up files and the program's start.
const BEGIN: Duration = Duration::from_secs(60);
/// For the terminal's end. ssh itself is gone by then.
const GOODBYE: Duration = Duration::from_secs(10);
/// Where the program's complaints go over there.
const LOG: &str = ".local/share/hop/terminal.log";

/// Where the keys are that `hop jupyter add` put there.
pub(crate) const KEYS: &str = ".local/share/hop/jupyter-keys";
/// More than any script's answer and a shell's greetings.
const MOST_PRINTED: usize = 1024 * 1024;

/// A terminal, opened for one connection.
pub(super) struct Opened {
    socket: WebSocket<ClientStream>,
    /// Where it is deleted.
    place: Target,
}

#[derive(Debug, Deserialize)]
struct Model {
    name: String,
}

/// Opens a terminal in the server whose SSH would be at `target`.
pub(super) async fn open(target: &Target, options: &ClientOptions) -> Result<Opened, ConnectError> {
    let terminals = beside(target, "api/terminals")?;
    // A server that does not run answers a look as it answers a WebSocket; a POST it may answer otherwise.
    let look = request(&terminals, Request { method: Method::Get, json: None }, options).await?;
    accepted(target, &terminals, look)?;
    let made = request(&terminals, Request { method: Method::Post, json: Some(b"{}") }, options).await?;
    let made = accepted(target, &terminals, made)?;
    let not_one = || ConnectError::NotWebSocket { host: target.host().to_owned() };
    let Model { name } = serde_json::from_slice(&made.body).map_err(|_| not_one())?;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        return Err(not_one());
    }
    let place = beside(target, &format!("api/terminals/{name}"))?;
    let socket = beside(target, &format!("terminals/websocket/{name}"))?;
    match hop_link::connect(&socket, options).await {
        Ok(socket) => Ok(Opened { socket: socket.with_text(), place }),
        Err(error) => {
            delete(&place, options).await;
            Err(error)
        }
    }
}

/// Runs `program` in the terminal and carries `local` to it, until either ends.
pub(super) async fn carry<L: AsyncRead + AsyncWrite + Unpin>(
    local: L,
    opened: Opened,
    options: &ClientOptions,
    program: &str,
) -> Result<(), CommandError> {
    let Opened { socket, place } = opened;
    let carried = async {
        let command = command(program)?;
        // ssh hangs up on its ProxyCommand when it is done.
        let mut hangup = signal(SignalKind::hangup()).or_fail(ErrorKind::Internal)?;
        let mut terminate = signal(SignalKind::terminate()).or_fail(ErrorKind::Internal)?;
        let mut interrupt = signal(SignalKind::interrupt()).or_fail(ErrorKind::Internal)?;
        let (messages, typing) = split(socket);
        let (printed, mut typing) = (TerminalReader::new(messages), TerminalWriter::new(typing));
        let carrying = async {
            let typed = async {
                typing.write_all(command.as_bytes()).await?;
                typing.flush().await
            };
            typed.await.map_err(TunnelError::Terminal)?;
            hop_link::tunnel(local, printed, typing, Side::Near(BEGIN)).await
        };
        tokio::select! {
            ended = carrying => ended.map(drop).map_err(|error| broken(&place, program, error)),
            _ = hangup.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    };
    let ended = carried.await;
    delete(&place, options).await;
    ended
}

/// Runs a script that lies in the folder where the server's files begin; the rest of the line that it prints behind `marker`.
pub(crate) async fn answer_of(
    target: &Target,
    options: &ClientOptions,
    script: &str,
    marker: &str,
) -> Result<String, CommandError> {
    let refused =
        |error: ConnectError| super::explain::refused(target, &error, &super::explain::TokenFrom::Given);
    let Opened { socket, place } = open(target, options).await.map_err(refused)?;
    let asked = async {
        let (messages, typing) = split(socket);
        let (mut printed, mut typing) = (TerminalReader::new(messages), TerminalWriter::new(typing));
        let line = format!(" exec sh \"${{JUPYTER_SERVER_ROOT:-.}}/{script}\"\r");
        typing.write_all(line.as_bytes()).await?;
        typing.flush().await?;
        let mut text = Vec::new();
        while text.len() < MOST_PRINTED && printed.read_buf(&mut text).await? > 0 {
            if let Some(answer) = behind(&String::from_utf8_lossy(&text), marker) {
                return Ok(Some(answer));
            }
        }
        std::io::Result::Ok(None)
    };
    let asked = tokio::time::timeout(BEGIN, asked).await;
    delete(&place, options).await;
    let silent = |why: &str| {
        CommandError::new(ErrorKind::Unavailable, format!("the terminal at {} {why}", place.host()))
            .hint("see whether a terminal of JupyterLab comes up to a prompt")
    };
    match asked {
        Ok(Ok(Some(answer))) => Ok(answer),
        Ok(Ok(None)) => Err(silent("ended without an answer")),
        Ok(Err(error)) => Err(silent(&format!("broke off: {error}"))),
        Err(_elapsed) => Err(silent("gave no answer")),
    }
}

/// The rest of the whole line that begins with a marker; at most 300 characters that a terminal can show.
fn behind(text: &str, marker: &str) -> Option<String> {
    let (_, rest) = text.split_once(marker)?;
    let (line, _) = rest.split_once('\n')?;
    Some(line.trim().chars().filter(|c| !c.is_control()).take(300).collect())
}

/// Ends the terminal and what runs in it. One that cannot be deleted ends by itself when it hears nobody.
async fn delete(place: &Target, options: &ClientOptions) {
    let options = ClientOptions { time: GOODBYE, ..options.clone() };
    let _gone = request(place, Request { method: Method::Delete, json: None }, &options).await;
}

/// A place in the same server: SSH would be at `…/sshd/`.
pub(crate) fn beside(target: &Target, path: &str) -> Result<Target, ConnectError> {
    let root = target.path().split('?').next().unwrap_or_default().trim_end_matches('/');
    let root = root.strip_suffix("/sshd").unwrap_or(root);
    target
        .join(&format!("{root}/{path}"))
        .ok_or_else(|| ConnectError::NotWebSocket { host: target.host().to_owned() })
}

/// The answer, unless it is a refusal.
pub(crate) fn accepted(target: &Target, asked: &Target, answer: Answer) -> Result<Answer, ConnectError> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    let there = answer.location.as_deref().and_then(|location| target.join(location));
    let location = answer.location.as_deref().and_then(|location| location.split(['?', '#']).next());
    Err(ConnectError::Refused(Refusal {
        target: asked.to_string(),
        status: answer.status,
        location: location.map(|location| location.escape_debug().take(200).collect()),
        is_same_origin: there.is_some_and(|there| there.is_same_origin(target)),
    }))
}

/// What is typed. Whatever the person's shell is, `sh` runs it; the space keeps it out of most histories.
fn command(program: &str) -> Result<String, CommandError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    let (home, rest) = match program.strip_prefix("~/") {
        Some(rest) => ("$HOME/", rest),
        None => ("", program),
    };
    let is_whole = !home.is_empty() || program.starts_with('/');
    if !is_whole || rest.is_empty() || !rest.chars().all(is_plain) {
        let words = format!("{program:?} cannot be the path of a program over there");
        return Err(CommandError::new(ErrorKind::Config, words)
            .hint("begin with / or ~/, and use letters, digits and /._-+@ only"));
    }
    // The endpoint refuses a file that is not there: one that is named by mistake lets nobody in.
    Ok(format!(
        " exec sh -c 'mkdir -p \"$HOME/.local/share/hop\"; for f in \"$HOME/.ssh/authorized_keys\" \"$HOME/{KEYS}\"; do \
         [ -f \"$f\" ] && set -- \"$@\" --authorized-keys \"$f\"; done; exec \"{home}{rest}\" endpoint --stdio --framed \
         --inherit-env --user \"*\" \"$@\" 2>\"$HOME/{LOG}\"'\r"
    ))
}

fn broken(place: &Target, program: &str, error: TunnelError) -> CommandError {
    let words = format!("the terminal at {} does not carry SSH: {error}", place.host());
    let failed = CommandError::new(ErrorKind::Unavailable, words);
    match error {
        TunnelError::Start(_) => failed
            .hint(format!(
                "{program} must be there, executable and no older than this hop; ~/{LOG} there has its words"
            ))
            .hint("see whether a terminal of JupyterLab comes up to a prompt"),
        TunnelError::Lost => failed.hint("the server was stopped, or the terminal was culled or closed"),
        _ => failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_one_command_for_every_shell() {
        let typed = command("~/bin/hop").unwrap();
        assert!(typed.starts_with(" exec sh -c 'mkdir") && typed.ends_with("'\r"), "{typed}");
        assert!(typed.contains("exec \"$HOME/bin/hop\" endpoint --stdio --framed "), "{typed}");
        assert_eq!(typed.matches('\'').count(), 2);
        // What a terminal takes that is not raw yet (N_TTY_BUF_SIZE).
        assert!(typed.len() < 4096);
        for bad in ["hop", "~", "~/", "/a b", "/$x", "/a'", "/a\"", "/`x`", "/a\n", "~x/hop", ""] {
            assert!(command(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_answer_is_a_whole_line() {
        assert_eq!(
            behind("motd\r\n$ hop-told-7 Linux x86_64\r\n", "hop-told-7"),
            Some("Linux x86_64".to_owned())
        );
        assert_eq!(behind("hop-told-7 Linux x86", "hop-told-7"), None);
        assert_eq!(behind("nothing\n", "hop-told-7"), None);
        assert_eq!(behind("hop-told-7 a\x1b[2Jb\n", "hop-told-7"), Some("a[2Jb".to_owned()));
    }

    #[test]
    fn places_of_a_server() {
        for (url, wanted) in [
            ("wss://h/user/a%40b/sshd/", "wss://h/user/a%40b/api/terminals"),
            ("wss://h/base/user/a/named/sshd/?x", "wss://h/base/user/a/named/api/terminals"),
            ("ws://h:8000/user/a/", "ws://h:8000/user/a/api/terminals"),
        ] {
            let place = beside(&Target::parse(url).unwrap(), "api/terminals").unwrap();
            assert_eq!(place, Target::parse(wanted).unwrap());
        }
    }
}
