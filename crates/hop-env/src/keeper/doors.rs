//! The doors: connections that processes inside a project make to their gateway, handed to the site.
//!
//! Must stay true: the site hears from the keeper, not from the project, which project it was; a project has at most
//! [`MOST_OPEN`] such connections; where nobody takes them they are closed.

use super::Shared;
use crate::connections::Connections;
use crate::project::ProjectKey;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// How many connections of one project may be open or waiting at once.
const MOST_OPEN: usize = 64;
/// How many connections of all projects may wait to be taken.
const MOST_WAITING: usize = 256;

/// The time between two connections of one project; more wait in its socket's backlog.
const PAUSE: Duration = Duration::from_millis(5);

/// A connection that a process of a project made.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) project: ProjectKey,
    pub(super) stream: StdUnixStream,
}

/// Whoever takes the connections: the last who asked for them.
#[derive(Debug, Default)]
pub(super) struct DoorHolder(Mutex<Option<mpsc::Sender<Door>>>);

impl DoorHolder {
    /// Gives the doors to a new holder; the one before is told by the end of its channel.
    pub(super) fn take(&self) -> mpsc::Receiver<Door> {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Whether it was taken; otherwise it is closed.
    fn hand(&self, door: Door) -> bool {
        let holder = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        holder.is_some_and(|holder| holder.try_send(door).is_ok())
    }
}

/// Accepts at a project's door until it is dropped.
pub(super) async fn serve(keeper: Arc<Shared>, project: ProjectKey, listener: StdUnixListener) {
    let prepared = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
    let (listener, open) = match prepared.and_then(|listener| Ok((listener, Connections::new()?))) {
        Ok(prepared) => prepared,
        Err(error) => return tracing::warn!(%project, %error, "no door"),
    };
    loop {
        // A tenant that knocks without end takes this much of the keeper's time, and the site's.
        tokio::time::sleep(PAUSE).await;
        let accepted = listener.accept().await;
        let stream = match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%project, %error, "a door failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // What cannot be counted is not let through.
        let room = open.count().is_ok_and(|count| count < MOST_OPEN) && open.watch(&stream).is_ok();
        // A tenant must not fill the log.
        if !room {
            tracing::debug!(%project, "more than {MOST_OPEN} connections to the gateway: closed");
        } else if !keeper.doors.hand(Door { project: project.clone(), stream }) {
            tracing::debug!(%project, "nobody takes connections to the gateway now: closed");
        }
    }
}
