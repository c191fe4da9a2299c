//! One connection to the keeper: a request, and the answers to it.

use super::Shared;
use super::doors::Door;
use crate::passing::Passing;
use crate::project::ProjectKey;
use crate::protocol::{Answer, Envelope, Failure, FailureKind, Request, State, VERSION};
use crate::running;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;

/// How long a client may take to say what it wants, and to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an endpoint with a full backlog is asked.
const FULL_BACKLOG: Duration = Duration::from_secs(10);

/// Reads the request, does it, answers.
pub(super) async fn answer(keeper: &Arc<Shared>, stream: UnixStream) {
    let mut client = Passing::without_descriptors(stream);
    let receiving = tokio::time::timeout(PATIENCE, client.receive::<Envelope>());
    let envelope = tokio::select! {
        () = keeper.stop.cancelled() => return,
        received = receiving => received,
    };
    let done = match envelope {
        Ok(Ok(Some(Envelope { version: VERSION, request }))) => serve(keeper, &client, request).await,
        Ok(Ok(Some(Envelope { version, .. }))) => {
            let words = format!("the keeper speaks version {VERSION}, not {version}");
            refuse(&client, Failure::new(FailureKind::Request, words)).await
        }
        Ok(Ok(None)) | Err(_) => Ok(()),
        Ok(Err(error)) => refuse(&client, Failure::new(FailureKind::Request, error)).await,
    };
    if let Err(error) = done {
        tracing::debug!(%error, "whoever asked is gone");
    }
}

/// A client that does not listen is left.
async fn say(client: &Passing, answer: Answer, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let saying = client.send(&answer, descriptor);
    tokio::time::timeout(PATIENCE, saying).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

async fn refuse(client: &Passing, failure: Failure) -> io::Result<()> {
    say(client, Answer::Failed { failure }, None).await
}

async fn serve(keeper: &Arc<Shared>, client: &Passing, request: Request) -> io::Result<()> {
    match request {
        Request::Enter { project } => enter(keeper, client, &project).await,
        Request::State { project } => {
            let state = keeper.known(&project).map_or(State::Stopped, |known| known.state());
            say(client, Answer::State { state }, None).await
        }
        Request::Stop { project } => {
            if let Some(known) = keeper.known(&project) {
                known.stop().await;
            }
            say(client, Answer::Stopped {}, None).await
        }
        Request::List {} => {
            for (project, state) in keeper.list() {
                say(client, Answer::Listed { project, state }, None).await?;
            }
            say(client, Answer::ListEnd {}, None).await
        }
        Request::Doors {} => hold_doors(keeper, client).await,
    }
}

async fn enter(keeper: &Arc<Shared>, client: &Passing, project: &ProjectKey) -> io::Result<()> {
    let environment = keeper.environment(project);
    if !environment.is_running() {
        say(client, Answer::Starting {}, None).await?;
    }
    let entrance = match environment.enter().await {
        Ok(entrance) => entrance,
        Err(failure) => return refuse(client, failure).await,
    };
    let connected = match running::enter(entrance.endpoint(), FULL_BACKLOG).await {
        Ok(stream) => entrance.connections().watch(&stream).map(|()| stream),
        Err(error) => Err(error),
    };
    match connected {
        Ok(stream) => say(client, Answer::Entered {}, Some(stream.as_fd())).await,
        Err(error) => {
            let words = format!("the environment does not answer: {error}");
            refuse(client, Failure::new(FailureKind::Ended, words).with_tail(entrance.tail())).await
        }
    }
}

/// Sends connections from projects until somebody else holds the doors or the client goes.
async fn hold_doors(keeper: &Arc<Shared>, client: &Passing) -> io::Result<()> {
    let mut doors = keeper.doors.take();
    say(client, Answer::DoorsHeld {}, None).await?;
    loop {
        let door = tokio::select! {
            () = keeper.stop.cancelled() => return Ok(()),
            () = client.closed() => return Ok(()),
            door = doors.recv() => door,
        };
        match door {
            Some(Door { project, stream }) => {
                say(client, Answer::Door { project }, Some(stream.as_fd())).await?;
            }
            None => return Ok(()),
        }
    }
}
