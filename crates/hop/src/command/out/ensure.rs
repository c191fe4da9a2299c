//! What every ssh to an enabled host runs first: 0 means that it rides on the shared login, 1 that it connects by itself.
//!
//! Must stay true: whenever there is doubt, and whenever no broker runs, ssh is left as it would be without us, without
//! a word. Where a broker runs, an ssh that could ride never logs in by itself: it is refused by `hop dial` instead.

use super::broker;
use super::place::{Place, Waited};
use super::terminal::Terminal;
use crate::cli::out;
use crate::error::ErrorKind;
use crate::output;
use hop_broker::{Event, Reached, Request};
use hop_connect::mux::MuxClient;
use hop_connect::parent::Parent;
use hop_connect::passenger::{Errand, Passenger};
use hop_connect::resolve::MASTER_VARIABLE;
use hop_connect::ssh_words::SshWords;
use std::process::ExitCode;
use std::time::Duration;

/// How long an ssh waits for a login, unless somebody types or the person's settings say otherwise.
const WAIT: Duration = Duration::from_secs(60);
/// VS Code gives up at 15 s.
const WAIT_OF_VS_CODE: Duration = Duration::from_secs(12);
/// How long it waits in line for a session.
const IN_LINE: Duration = Duration::from_secs(600);
/// The programs that read ssh_config as ssh does.
const PROGRAMS: &[&str] = &["ssh", "gsissh"];

/// What becomes of the ssh that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Rides,
    ConnectsByItself,
}

pub(crate) fn run(arguments: &out::Ensure) -> ExitCode {
    match judge(arguments).unwrap_or(Verdict::ConnectsByItself) {
        Verdict::Rides => ExitCode::SUCCESS,
        Verdict::ConnectsByItself => ExitCode::FAILURE,
    }
}

/// `None` is doubt.
fn judge(arguments: &out::Ensure) -> Option<Verdict> {
    if std::env::var(MASTER_VARIABLE).is_ok_and(|id| id == arguments.id.as_str()) {
        return Some(Verdict::ConnectsByItself);
    }
    let parent = Parent::find(std::process::id(), PROGRAMS)?;
    let passenger = Passenger {
        words: SshWords::parse(&parent.words).ok()?,
        name: arguments.name.clone(),
        address: arguments.addr.clone(),
        user: arguments.user.clone(),
        port: arguments.port.clone(),
        local_user: arguments.local_user.clone(),
    };
    if passenger.errand() == Errand::Nothing {
        return None;
    }
    let is_batch = passenger.is_batch();
    // Checked again when it has waited for a connection that turned out to be dead.
    for _ in 0..2 {
        let mut broker = Reached::connect(&broker::sockets()).ok()?;
        let terminal = if is_batch { None } else { Terminal::of_process() };
        let request = Request::Ensure {
            alias: arguments.id.clone(),
            passenger: Box::new(passenger.clone()),
            pid: parent.pid,
            started_by: parent.started_by.clone(),
            attended: terminal.is_some(),
            environment: broker::environment(),
        };
        broker.send(&request).ok()?;
        let mut place = Place::new(broker.hello().ok()?, terminal);
        let (socket, master) = match wait(&mut place, arguments)? {
            Waiting::GivenUp => {
                // The terminal did not send it to ssh while we read from it.
                let ssh = i32::try_from(parent.pid).ok().and_then(rustix::process::Pid::from_raw);
                let _ = ssh.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::INT));
                return Some(Verdict::Rides);
            }
            Waiting::Over(verdict) => return Some(verdict),
            Waiting::Up { socket, master } => (socket, master),
        };
        if MuxClient::connect(&socket).and_then(|mut client| client.alive_check()).is_ok() {
            return Some(Verdict::Rides);
        }
        place.send(&Request::Silent { alias: arguments.id.clone(), master }).ok()?;
        output::note(&format!("hop: the connection to {} does not answer; it is replaced", arguments.id));
        // It is killed when the broker has heard that.
        let _ = place.next_within(Some(Duration::from_secs(2)));
    }
    Some(Verdict::Rides)
}

enum Waiting {
    Up {
        socket: std::path::PathBuf,
        master: u32,
    },
    Over(Verdict),
    /// The person typed Ctrl-C.
    GivenUp,
}

fn wait(place: &mut Place, arguments: &out::Ensure) -> Option<Waiting> {
    // A connection that is up is told of at once; nothing is said then.
    let mut limit = Duration::from_millis(300);
    let mut is_told = false;
    loop {
        let waited = match place.next_within(Some(limit)) {
            Err(error) if error.code() == ErrorKind::Interrupted as u8 => return Some(Waiting::GivenUp),
            other => other.ok()?,
        };
        match waited {
            Waited::Event(event) => match *event {
                Event::Up { socket, master, .. } => return Some(Waiting::Up { socket, master }),
                Event::Declined { reason } => {
                    if let Some(reason) = reason {
                        output::note(&format!("hop: {} is not shared with this ssh: {reason}", arguments.id));
                    }
                    return Some(Waiting::Over(Verdict::ConnectsByItself));
                }
                // `hop dial` says why, where ssh ends because of it.
                Event::Failed(_) => return Some(Waiting::Over(Verdict::Rides)),
                Event::InLine { text } => {
                    output::note(&format!("hop: {text}"));
                    (is_told, limit) = (true, IN_LINE);
                }
                Event::Progress { text } => output::note(&format!("hop: {text}")),
                Event::Refused { .. } => return None,
                _ => {}
            },
            Waited::TooLong if !is_told => {
                output::note(&format!("hop: logging in to {}…", arguments.id));
                (is_told, limit) = (true, patience(arguments));
            }
            Waited::TooLong => return Some(Waiting::Over(Verdict::Rides)),
        }
    }
}

/// How long this ssh waits. What a person has decided is read only now: where a connection is up, nothing waits for a disk.
fn patience(arguments: &out::Ensure) -> Duration {
    let settings = super::daemon::host_settings().read(&[arguments.id.as_str(), &arguments.addr]);
    let usual = settings.ok().and_then(|settings| settings.wait).unwrap_or(WAIT);
    if is_vs_code() { usual.min(WAIT_OF_VS_CODE) } else { usual }
}

fn is_vs_code() -> bool {
    std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("VSCODE_"))
}
