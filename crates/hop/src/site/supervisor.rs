//! The process that a person starts: it binds, starts the others, starts again whichever dies, and stops them. Several
//! may share a site, each with some of its parts.
//!
//! Must stay true: listeners outlive the processes that use them, so that whoever connects while one is started again
//! waits instead of being refused.

use super::announcement::SiteReady;
use super::certificate_copies::CertificateCopies;
use super::data::{DataDirectory, SiteNote};
use super::leash::{self, Orders, Report};
use super::role::Role;
use super::settings::Settings;
use super::users::Users;
use crate::command::server::Signals;
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use hop_env::socket::SocketAccess;
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The first wait before a process is started again.
const SOON: Duration = Duration::from_millis(100);
/// The longest.
const LATER: Duration = Duration::from_secs(10);
/// A process that served for so long begins again with the first wait.
const STABLE: Duration = Duration::from_secs(30);
/// How long a process may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// How long processes may take to stop before they are killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A site that can be started: directory prepared, addresses bound.
pub(crate) struct Supervisor {
    settings: Settings,
    users: Users,
    program: PathBuf,
    offered_keys: Vec<String>,
    gateway_host_keys: Vec<String>,
    data: DataDirectory,
    parts: Vec<Part>,
    /// Where the site's process could not read the originals.
    certificate: Option<CertificateCopies>,
}

/// A part of the site that is ours to run.
struct Part {
    role: Role,
    /// What it listens on; outlives the process.
    listeners: Vec<OwnedFd>,
    /// Nobody else runs it here as long as this is held.
    _lock: File,
}

/// Each needs those before it, when it starts.
const ORDER: [Role; 3] = [Role::Signer, Role::Site, Role::Keeper];
/// Sessions end first, then what they run in.
const ORDER_OF_ENDS: [Role; 3] = [Role::Site, Role::Keeper, Role::Signer];

impl Supervisor {
    /// Prepares the data directory and binds what these parts listen on; none means all. `offered_keys` are for the
    /// first account.
    pub(crate) fn prepare(
        mut settings: Settings,
        offered_keys: Vec<String>,
        only: &[Role],
    ) -> Result<Self, CommandError> {
        let users = Users::choose(&settings)?;
        let data = DataDirectory::prepare(&settings.data, &users)?;
        let ours = |role: &Role| only.is_empty() || only.contains(role);
        let locks: Result<Vec<_>, _> =
            ORDER.into_iter().filter(ours).map(|role| data.lock(role).map(|lock| (role, lock))).collect();
        let locks = locks?;
        let data = data.within_reach(&users)?;
        settings.data = data.root().to_owned();
        let mut parts = Vec::new();
        for (role, lock) in locks {
            let listeners = match role {
                Role::Site => site_listeners(&settings, &data)?,
                Role::Keeper | Role::Signer => vec![private_socket(&data.run(), role, &users)?],
            };
            parts.push(Part { role, listeners, _lock: lock });
        }
        let program = data.program(&users)?;
        let serves_pages = parts.iter().any(|part| part.role == Role::Site);
        let certificate = match &settings.tls {
            Some(tls) if serves_pages && users.projects().is_some() => {
                Some(CertificateCopies::make(tls, &data.run(), users.site())?)
            }
            Some(_) | None => None,
        };
        if let Some(copies) = &certificate {
            settings.tls = Some(copies.paths());
        }
        let gateway_host_keys = Vec::new();
        Ok(Self { settings, users, program, offered_keys, gateway_host_keys, data, parts, certificate })
    }

    /// Starts all parts, calls `announce` when they are ready for the first time (with what the site says, if it is
    /// one of them), and goes on until a signal.
    pub(crate) async fn run<F>(mut self, announce: F) -> Result<(), CommandError>
    where
        F: FnOnce(Option<&SiteReady>) -> Result<(), CommandError>,
    {
        let Signals { mut terminate, mut interrupt } = Signals::catch()?;
        let (mut processes, mut ready) = (Vec::new(), None);
        let roles: Vec<Role> = self.parts.iter().map(|part| part.role).collect();
        for role in roles {
            if role == Role::Keeper && ready.is_none() {
                self.gateway_host_keys = tokio::select! {
                    known = noted_host_keys(&self.data) => known?,
                    _ = terminate.recv() => return Ok(()),
                    _ = interrupt.recv() => return Ok(()),
                };
            }
            let (process, said) = self.start(role).await?;
            if role == Role::Site {
                let site: SiteReady = serde_json::from_value(said).or_fail(ErrorKind::Internal)?;
                // Projects know the gateway's host keys.
                self.gateway_host_keys.clone_from(&site.host_key_lines);
                if let Some(note) = self.data.noted() {
                    self.data.note(&SiteNote { host_keys: site.host_key_lines.clone(), ..note })?;
                }
                ready = Some(site);
            }
            processes.push(process);
        }
        announce(ready.as_ref())?;
        // Ends with the process.
        self.certificate.take().map(|copies| tokio::spawn(copies.follow()));

        let stop = CancellationToken::new();
        let kept = self.keep_all(&mut processes, &stop);
        let stopped = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
            output::note("stopping: open sessions end; once more to cut them");
        };
        tokio::join!(kept, stopped);

        processes.sort_by_key(|process| ORDER_OF_ENDS.iter().position(|role| *role == process.role));
        let ended = async {
            let deadline = Instant::now() + PATIENCE;
            for process in &mut processes {
                process.end(deadline).await;
            }
        };
        let cut = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        tokio::select! {
            () = ended => {}
            // What is dropped is killed.
            () = cut => {}
        }
        Ok(())
    }

    /// Starts a process and waits until it is ready; with what it says then.
    async fn start(&self, role: Role) -> Result<(Process, serde_json::Value), CommandError> {
        let cannot = |what: &str, error: &dyn std::fmt::Display| {
            CommandError::new(ErrorKind::Internal, format!("cannot {what} the {role}: {error}"))
        };
        let (ours, theirs) = UnixStream::pair().map_err(|error| cannot("start", &error))?;
        let mut command = Command::new(&self.program);
        command.args(["role", role.name()]).stdin(Stdio::from(OwnedFd::from(theirs))).kill_on_drop(true);
        if let Some(user) = role.switches_to(&self.users) {
            // The standard library clears the groups of root with it.
            command.uid(user).gid(user).current_dir("/");
        }
        let child = command.spawn().map_err(|error| cannot("start", &error))?;
        // It holds the other end; ours closes with it.
        drop(command);
        let mut settings = self.settings.clone();
        if role != Role::Site {
            // It may hold a password.
            settings.store = None;
        }
        let orders = Orders {
            role,
            settings,
            users: self.users.clone(),
            program: self.program.clone(),
            offered_keys: self.offered_keys.clone(),
            gateway_host_keys: self.gateway_host_keys.clone(),
        };
        let descriptors = self.descriptors(role)?;
        let (leash, report) = tokio::task::spawn_blocking(move || {
            ours.set_read_timeout(Some(READY))?;
            let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            leash::send(&ours, &orders, &borrowed)?;
            let report = leash::read_report(&ours)?;
            Ok::<_, io::Error>((ours, report))
        })
        .await
        .or_fail(ErrorKind::Internal)?
        .map_err(|error| cannot("hear from", &error))?;
        match report {
            Report::Ready(said) => {
                Ok((Process { role, child, leash: Some(leash), since: Instant::now() }, said))
            }
            Report::Failed { code, message, hints } => {
                Err(hints.into_iter().fold(CommandError::with_code(code, message), CommandError::hint))
            }
        }
    }

    /// Copies of a part's listeners.
    fn descriptors(&self, role: Role) -> Result<Vec<OwnedFd>, CommandError> {
        let listeners = self.parts.iter().filter(|part| part.role == role).flat_map(|part| &part.listeners);
        listeners.map(|listener| listener.try_clone().or_fail(ErrorKind::Internal)).collect()
    }

    /// Keeps each of the processes, until all stop.
    async fn keep_all(&self, processes: &mut [Process], stop: &CancellationToken) {
        if let [first, rest @ ..] = processes {
            // There are three at most.
            tokio::join!(self.keep(first, stop), Box::pin(self.keep_all(rest, stop)));
        }
    }

    /// Waits for a process's end and starts it again, until all stop.
    async fn keep(&self, process: &mut Process, stop: &CancellationToken) {
        let mut wait = SOON;
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = process.child.wait() => ended,
            };
            if process.since.elapsed() >= STABLE {
                wait = SOON;
            }
            let role = process.role;
            output::warning(&format!("the {role} {}; it is started again", describe(ended)));
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
                wait = (wait * 2).min(LATER);
                match self.start(role).await {
                    Ok((started, _)) => {
                        *process = started;
                        break;
                    }
                    Err(error) => output::error(&error),
                }
            }
        }
    }
}

/// A running process. Dropping it kills it.
struct Process {
    role: Role,
    child: Child,
    /// Closed to stop it.
    leash: Option<UnixStream>,
    since: Instant,
}

impl Process {
    /// Lets go and waits; kills it at the deadline.
    fn end(&mut self, deadline: Instant) -> impl Future<Output = ()> + '_ {
        self.leash.take();
        async move {
            if tokio::time::timeout_at(deadline, self.child.wait()).await.is_err() {
                output::warning(&format!("the {} does not stop; it is killed", self.role));
                // It may have ended in between.
                let _ = self.child.kill().await;
            }
        }
    }
}

fn describe(ended: io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => match (status.signal(), status.code()) {
            (Some(signal), _) => format!("was ended by signal {signal}"),
            (None, Some(code)) => format!("ended with code {code}"),
            (None, None) => "ended".to_owned(),
        },
        Err(error) => format!("is lost ({error})"),
    }
}

fn bind(address: SocketAddr, option: &str) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener)).map_err(
        |error| {
            let failed =
                CommandError::new(ErrorKind::Unavailable, format!("cannot listen on {address}: {error}"));
            match error.kind() {
                io::ErrorKind::AddrInUse => failed.hint(format!(
                    "something listens there already, perhaps another hop; {option} {}:0 takes a free port",
                    address.ip()
                )),
                io::ErrorKind::PermissionDenied => {
                    failed.hint(format!("ports below 1024 need root; {option} chooses another"))
                }
                _ => failed.hint(format!("{option} chooses another address")),
            }
        },
    )
}

/// What the site listens on: SSH, then the pages. Notes where that is.
fn site_listeners(settings: &Settings, data: &DataDirectory) -> Result<Vec<OwnedFd>, CommandError> {
    let (ssh, http) = (bind(settings.ssh, "--ssh")?, bind(settings.http, "--http")?);
    let address = |listener: &TcpListener| listener.local_addr().or_fail(ErrorKind::Unavailable);
    data.note(&SiteNote {
        ssh: address(&ssh)?,
        http: address(&http)?,
        sandbox: settings.projects.sandbox,
        host_keys: data.noted().map(|note| note.host_keys).unwrap_or_default(),
    })?;
    Ok(vec![ssh.into(), http.into()])
}

/// The gateway's host keys as a site that is started by itself has noted them; waits for its first start.
async fn noted_host_keys(data: &DataDirectory) -> Result<Vec<String>, CommandError> {
    let deadline = Instant::now() + READY;
    let mut is_told = false;
    loop {
        match data.noted() {
            Some(note) if !note.host_keys.is_empty() => return Ok(note.host_keys),
            Some(_) | None if Instant::now() < deadline => {
                if !is_told {
                    output::note("waiting for the site's first start, which makes its host keys");
                }
                is_told = true;
                tokio::time::sleep(SOON).await;
            }
            Some(_) | None => {
                return Err(CommandError::new(
                    ErrorKind::Unavailable,
                    format!(
                        "no site has started yet in {}: its host keys are not known",
                        data.root().display()
                    ),
                )
                .hint("start hop serve --only site with the same settings, and the signer before it"));
            }
        }
    }
}

/// A Unix socket in `run` that the site can connect to, and nobody else but root.
fn private_socket(run: &Path, role: Role, users: &Users) -> Result<OwnedFd, CommandError> {
    let path = run.join(format!("{}.sock", role.name()));
    let owner = users.projects().map(|_| (users.site(), users.site()));
    let bound = hop_env::socket::bind(&path, SocketAccess { owner, ..SocketAccess::PRIVATE });
    bound.and_then(|listener| listener.set_nonblocking(true).map(|()| listener.into())).map_err(|error| {
        CommandError::new(ErrorKind::Unavailable, format!("cannot make {}: {error}", path.display()))
    })
}
