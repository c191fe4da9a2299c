//! The site's handle of its keeper.

use crate::passing::{Passing, ReceiveError};
use crate::project::ProjectKey;
use crate::protocol::{Answer, Envelope, Failure, Request, State, VERSION};
use crate::socket;
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixStream;

/// The environments of a site, held by its keeper. Each call is a conversation of its own, so a keeper that was
/// restarted is found again.
#[derive(Clone, Debug)]
pub struct Environments {
    socket: Arc<Path>,
}

/// The keeper did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It cannot be reached.
    #[error("the keeper cannot be reached at {}: {source}", socket.display())]
    Unreachable {
        /// Where it should be.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It hung up: it was stopped, or does not know this user.
    #[error("the keeper hung up")]
    HungUp,
    /// It said something that makes no sense.
    #[error("the keeper cannot be understood: {0}")]
    Nonsense(String),
    /// It said why not.
    #[error(transparent)]
    Failed(Failure),
}

/// An environment cannot be entered.
pub type EnterError = AskError;

/// What is heard while an environment is entered.
#[derive(Debug)]
pub enum EnterStep {
    /// It was not running and is being started (or, before that, stopped). There will be another step.
    Starting,
    /// A connection to its endpoint.
    Entered(UnixStream),
}

impl Environments {
    /// Those of the keeper at this socket. It need not be there yet.
    pub fn at(socket: PathBuf) -> Self {
        Self { socket: socket.into() }
    }

    /// Connects to a project's endpoint, starting its environment if it is not running.
    ///
    /// # Cancel safety
    /// Cancel safe: an environment that was started keeps running.
    pub async fn enter(&self, project: &ProjectKey) -> Result<UnixStream, EnterError> {
        let mut entering = self.begin_to_enter(project).await?;
        loop {
            if let EnterStep::Entered(stream) = entering.step().await? {
                return Ok(stream);
            }
        }
    }

    /// As [`enter`](Self::enter), step by step.
    pub async fn begin_to_enter(&self, project: &ProjectKey) -> Result<Entering, EnterError> {
        Ok(Entering(self.ask(Request::Enter { project: project.clone() }).await?))
    }

    /// What a project's environment is doing.
    pub async fn state(&self, project: &ProjectKey) -> Result<State, AskError> {
        let mut keeper = self.ask(Request::State { project: project.clone() }).await?;
        match next(&mut keeper).await? {
            Answer::State { state } => Ok(state),
            other => Err(unexpected(&other)),
        }
    }

    /// Stops a project's environment; its home is kept. Returns when nothing of it runs.
    pub async fn stop(&self, project: &ProjectKey) -> Result<(), AskError> {
        let mut keeper = self.ask(Request::Stop { project: project.clone() }).await?;
        match next(&mut keeper).await? {
            Answer::Stopped {} => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// All environments that are not stopped, by id.
    pub async fn list(&self) -> Result<Vec<(ProjectKey, State)>, AskError> {
        let mut keeper = self.ask(Request::List {}).await?;
        let mut listed = Vec::new();
        loop {
            match next(&mut keeper).await? {
                Answer::Listed { project, state } => listed.push((project, state)),
                Answer::ListEnd {} => return Ok(listed),
                other => return Err(unexpected(&other)),
            }
        }
    }

    /// Takes the connections that processes inside projects make to their gateway, from now on. Whoever held them
    /// before gets no more.
    pub async fn doors(&self) -> Result<Doors, AskError> {
        let mut keeper = self.ask(Request::Doors {}).await?;
        match next(&mut keeper).await? {
            Answer::DoorsHeld {} => Ok(Doors(keeper)),
            other => Err(unexpected(&other)),
        }
    }

    async fn ask(&self, request: Request) -> Result<Passing, AskError> {
        let unreachable = |source| AskError::Unreachable { socket: self.socket.to_path_buf(), source };
        let stream = socket::connect(&self.socket).await.map_err(unreachable)?;
        let keeper = Passing::with_descriptors(stream);
        match keeper.send(&Envelope { version: VERSION, request }, None).await {
            Ok(()) => Ok(keeper),
            // It may have said why before it hung up; otherwise the next read tells.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(keeper),
            Err(error) => Err(unreachable(error)),
        }
    }
}

/// An environment that is being entered.
#[derive(Debug)]
pub struct Entering(Passing);

impl Entering {
    /// What happens next. After [`EnterStep::Entered`] there is nothing more.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn step(&mut self) -> Result<EnterStep, EnterError> {
        match next(&mut self.0).await? {
            Answer::Starting {} => Ok(EnterStep::Starting),
            Answer::Entered {} => Ok(EnterStep::Entered(descriptor(&mut self.0)?)),
            other => Err(unexpected(&other)),
        }
    }
}

/// The doors of all projects. Dropping it closes them.
#[derive(Debug)]
pub struct Doors(Passing);

impl Doors {
    /// The next connection, and the project inside which it was made; `None` when somebody else holds the doors
    /// now, or the keeper ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Option<(ProjectKey, UnixStream)>, AskError> {
        match next(&mut self.0).await {
            Ok(Answer::Door { project }) => Ok(Some((project, descriptor(&mut self.0)?))),
            Ok(other) => Err(unexpected(&other)),
            Err(AskError::HungUp) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

async fn next(keeper: &mut Passing) -> Result<Answer, AskError> {
    match keeper.receive().await {
        Ok(Some(Answer::Failed { failure })) => Err(AskError::Failed(failure)),
        Ok(Some(answer)) => Ok(answer),
        Ok(None) | Err(ReceiveError::CutOff) => Err(AskError::HungUp),
        Err(ReceiveError::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
            Err(AskError::HungUp)
        }
        Err(error) => Err(AskError::Nonsense(error.to_string())),
    }
}

fn descriptor(keeper: &mut Passing) -> Result<UnixStream, AskError> {
    let passed = keeper.take_descriptor();
    let passed = passed.ok_or_else(|| AskError::Nonsense("it passed no connection".to_owned()))?;
    let stream = StdUnixStream::from(passed);
    let usable = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
    usable.map_err(|error| AskError::Nonsense(format!("what it passed is no connection: {error}")))
}

fn unexpected(answer: &Answer) -> AskError {
    AskError::Nonsense(format!("it answered {answer:?}"))
}
