//! The thread that starts processes. "Die with the parent" means the parent *thread*: one that a runtime made may
//! end at any time and would take the environments with it.

use crate::session_keyring;
use std::io;
use std::sync::mpsc;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Starts processes that live no longer than it does.
#[derive(Debug)]
pub(crate) struct Spawner(mpsc::SyncSender<Order>);

struct Order {
    command: Command,
    runtime: Handle,
    started: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    /// Starts the thread. It ends when the spawner is dropped.
    pub(crate) fn new() -> io::Result<Self> {
        let (orders, incoming) = mpsc::sync_channel::<Order>(64);
        std::thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            for Order { mut command, runtime, started } in incoming {
                let _entered = runtime.enter();
                // Whoever gave up on it has its child killed with the answer that nobody takes.
                // The keyring is this thread's, and so the child's alone.
                let _ = started.send(session_keyring::join_new().and_then(|()| command.spawn()));
            }
        })?;
        Ok(Self(orders))
    }

    pub(crate) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (started, child) = oneshot::channel();
        let order = Order { command, runtime: Handle::current(), started };
        self.0.try_send(order).map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))?;
        child.await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?
    }
}
