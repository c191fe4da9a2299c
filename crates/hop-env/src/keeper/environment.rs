//! One project's environment: a task that owns it and takes its commands in turn.

use super::Shared;
use super::doors;
use crate::connections::Connections;
use crate::homes::HomeError;
use crate::processes;
use crate::project::ProjectKey;
use crate::protocol::{Failure, FailureKind, State};
use crate::running::{Place, Running};
use crate::tail::Tail;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

/// How many commands may wait for an environment's task, and how many may wait for it to start.
const MOST_WAITING: usize = 1024;

/// What an environment's task is asked to do.
#[derive(Debug)]
enum Command {
    Enter(oneshot::Sender<Result<Entrance, Failure>>),
    Stop(oneshot::Sender<()>),
}

/// A running environment's way in. It does not count as idle while somebody holds this.
#[derive(Clone, Debug)]
pub(super) struct Entrance(Arc<Way>);

#[derive(Debug)]
struct Way {
    endpoint: PathBuf,
    connections: Connections,
    tail: Tail,
}

impl Entrance {
    pub(super) fn endpoint(&self) -> &std::path::Path {
        &self.0.endpoint
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    pub(super) fn tail(&self) -> Vec<String> {
        self.0.tail.lines()
    }
}

/// Where an environment is in its life.
#[derive(Clone, Debug)]
enum Stage {
    Stopped,
    Starting,
    Running { since: u64, way: Entrance },
    Stopping,
}

/// The handle of an environment's task.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    commands: mpsc::Sender<Command>,
    stage: watch::Receiver<Stage>,
}

impl Environment {
    /// Starts the task; it ends with the keeper.
    pub(super) fn new(keeper: &Arc<Shared>, key: &ProjectKey) -> Self {
        let (commands, incoming) = mpsc::channel(MOST_WAITING);
        let (published, stage) = watch::channel(Stage::Stopped);
        let task =
            Task { keeper: Arc::clone(keeper), key: key.clone(), commands: incoming, stage: published };
        keeper.tasks.spawn(task.run());
        Self { commands, stage }
    }

    pub(super) fn state(&self) -> State {
        match &*self.stage.borrow() {
            Stage::Stopped => State::Stopped,
            Stage::Starting => State::Starting,
            Stage::Stopping => State::Stopping,
            Stage::Running { since, way } => {
                let connections = way.connections().count().unwrap_or_default();
                State::Running { since: *since, connections: u64::try_from(connections).unwrap_or(u64::MAX) }
            }
        }
    }

    /// Whether it can be entered without a wait.
    pub(super) fn is_running(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Running { .. })
    }

    /// The way in; starts the environment if need be.
    pub(super) async fn enter(&self) -> Result<Entrance, Failure> {
        let (answer, entrance) = oneshot::channel();
        self.commands.try_send(Command::Enter(answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => too_many(),
            mpsc::error::TrySendError::Closed(_) => keeper_stops(),
        })?;
        entrance.await.unwrap_or_else(|_| Err(keeper_stops()))
    }

    /// Returns when it is stopped.
    pub(super) async fn stop(&self) {
        let (answer, stopped) = oneshot::channel();
        if self.commands.send(Command::Stop(answer)).await.is_ok() {
            // A task that is gone has stopped it.
            let _ = stopped.await;
        }
    }
}

fn too_many() -> Failure {
    Failure::new(FailureKind::Busy, "too many wait for this environment already")
}

fn keeper_stops() -> Failure {
    Failure::new(FailureKind::Stopped, "all environments are being stopped")
}

struct Task {
    keeper: Arc<Shared>,
    key: ProjectKey,
    commands: mpsc::Receiver<Command>,
    stage: watch::Sender<Stage>,
}

/// Those who wait for an environment to start.
type Waiting = Vec<oneshot::Sender<Result<Entrance, Failure>>>;

impl Task {
    async fn run(mut self) {
        let stop = self.keeper.stop.clone();
        loop {
            self.stage.send_replace(Stage::Stopped);
            let command = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                command = self.commands.recv() => command,
            };
            match command {
                None => return,
                Some(Command::Stop(done)) => answer(done, ()),
                Some(Command::Enter(first)) => {
                    let mut waiting = vec![first];
                    let started = self.start(&mut waiting).await;
                    match started {
                        Ok((running, door)) => self.hold(running, door, waiting).await,
                        Err(failure) => {
                            tracing::warn!(project = %self.key, %failure, "environment not started");
                            waiting.into_iter().for_each(|one| answer(one, Err(failure.clone())));
                        }
                    }
                    self.remove_group().await;
                }
            }
        }
    }

    /// What is left in its control group ends with it.
    async fn remove_group(&self) {
        if self.keeper.groups.is_some() {
            let (keeper, key) = (Arc::clone(&self.keeper), self.key.clone());
            let removing = tokio::task::spawn_blocking(move || {
                keeper.groups.iter().for_each(|groups| groups.remove(&key))
            });
            // It says itself what it could not do.
            let _done = removing.await;
        }
    }

    /// Starts it, while those who come wait.
    async fn start(&mut self, waiting: &mut Waiting) -> Result<(Running, StdUnixListener), Failure> {
        self.stage.send_replace(Stage::Starting);
        let began = Instant::now();
        let limit = self.keeper.settings.start_timeout;
        let stop = self.keeper.stop.clone();
        // What drops it, kills it.
        let mut starting = std::pin::pin!(started(Arc::clone(&self.keeper), self.key.clone()));
        let deadline = tokio::time::sleep(limit);
        let mut deadline = std::pin::pin!(deadline);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(keeper_stops()),
                done = &mut starting => {
                    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(project = %self.key, millis, ok = done.is_ok(), "environment started");
                    return done;
                }
                () = &mut deadline => {
                    let words = format!("the environment did not answer within {} s", limit.as_secs());
                    return Err(Failure::new(FailureKind::TimedOut, words));
                }
                Some(command) = self.commands.recv() => match command {
                    Command::Enter(one) if waiting.len() < MOST_WAITING => waiting.push(one),
                    Command::Enter(one) => answer(one, Err(too_many())),
                    Command::Stop(done) => {
                        answer(done, ());
                        return Err(Failure::new(FailureKind::Stopped, "the environment was stopped"));
                    }
                },
            }
        }
    }

    /// Holds it until it ends, is stopped, or was alone for long enough.
    async fn hold(&mut self, mut running: Running, door: StdUnixListener, waiting: Waiting) {
        let connections = match Connections::new() {
            Ok(connections) => connections,
            Err(error) => {
                let failure =
                    Failure::new(FailureKind::Machine, format!("cannot count connections: {error}"));
                return waiting.into_iter().for_each(|one| answer(one, Err(failure.clone())));
            }
        };
        let endpoint = running.endpoint().to_owned();
        let way = Entrance(Arc::new(Way { endpoint, connections, tail: running.tail() }));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.stage.send_replace(Stage::Running { since, way: way.clone() });
        let serving = doors::serve(Arc::clone(&self.keeper), self.key.clone(), door);
        let _door = AbortOnDropHandle::new(tokio::spawn(serving));
        waiting.into_iter().for_each(|one| answer(one, Ok(way.clone())));

        let idle_stop = self.keeper.settings.idle_stop;
        let mut alone_since = None;
        let mut looks = tokio::time::interval(looks_every(idle_stop));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.keeper.stop.clone();
        let asked = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break None,
                how = running.ended() => {
                    tracing::info!(project = %self.key, how, "environment ended by itself");
                    return;
                }
                command = self.commands.recv() => match command {
                    Some(Command::Enter(one)) => {
                        alone_since = None;
                        answer(one, Ok(way.clone()));
                    }
                    Some(Command::Stop(done)) => break Some(done),
                    None => break None,
                },
                _ = looks.tick() => {
                    // This task and the published stage hold one each; who is on the way in, more.
                    let on_the_way = Arc::strong_count(&way.0) > 2;
                    // What cannot be counted is not taken for nobody.
                    let alone = !on_the_way && way.connections().count().unwrap_or(1) == 0;
                    let since = *alone_since.get_or_insert_with(Instant::now);
                    if !alone {
                        alone_since = None;
                    } else if idle_stop.is_some_and(|limit| since.elapsed() >= limit) {
                        tracing::info!(project = %self.key, "nobody was connected for long enough");
                        break None;
                    }
                }
            }
        };
        self.stage.send_replace(Stage::Stopping);
        running.stop(self.keeper.settings.stop_patience).await;
        tracing::info!(project = %self.key, "environment stopped");
        if let Some(done) = asked {
            self.stage.send_replace(Stage::Stopped);
            answer(done, ());
        }
    }
}

/// Who asked may have gone away.
fn answer<T>(one: oneshot::Sender<T>, value: T) {
    let _gone = one.send(value);
}

/// Often enough that an environment is stopped soon after its time.
fn looks_every(idle_stop: Option<Duration>) -> Duration {
    let quarter = idle_stop.unwrap_or(Duration::MAX) / 4;
    quarter.clamp(Duration::from_millis(50), Duration::from_secs(30))
}

/// An environment whose endpoint answers.
async fn started(keeper: Arc<Shared>, key: ProjectKey) -> Result<(Running, StdUnixListener), Failure> {
    let settings = &keeper.settings;
    let finding = Arc::clone(&keeper);
    let wanted = key.clone();
    let project = tokio::task::spawn_blocking(move || {
        let project = finding.homes.find_or_make(&wanted)?;
        // By a user, the uid is that of everything else.
        if finding.settings.uids.is_some() {
            processes::end_strays(project.run_as.uid);
        }
        Ok::<_, HomeError>(project)
    })
    .await;
    let project = project
        .map_err(|error| Failure::new(FailureKind::Machine, error))?
        .map_err(|error| Failure::new(FailureKind::Home, error))?;
    let machine = |error: &dyn std::error::Error| Failure::new(FailureKind::Machine, error);
    let runtime = keeper.runtime(&key).map_err(|error| machine(&error))?;
    let group = match &keeper.groups {
        None => None,
        Some(_) => {
            let (making, wanted) = (Arc::clone(&keeper), key.clone());
            let made = tokio::task::spawn_blocking(move || {
                making.groups.as_ref().map(|groups| groups.make(&wanted, making.settings.limits)).transpose()
            });
            let made = made.await.map_err(|error| machine(&error))?;
            made.map_err(|error| {
                Failure::new(FailureKind::Machine, format!("cannot make its control group: {error}"))
            })?
        }
    };
    let place = Place {
        isolation: &settings.isolation,
        hop: &settings.hop,
        runtime: &runtime,
        network: &settings.network,
        shown: &settings.shown,
        limits: settings.limits,
        gateway_keys: &keeper.gateway_keys,
        group: group.as_deref(),
    };
    let started = Running::start(&keeper.spawner, &project, &place).await;
    let (mut running, door) = started.map_err(|error| machine(&error))?;
    match running.answers().await {
        Ok(()) => Ok((running, door)),
        Err(error) => Err(Failure::new(FailureKind::Ended, error).with_tail(running.tail().lines())),
    }
}
