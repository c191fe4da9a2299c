//! The endpoint as a whole: accepts connections and gives each to one of a few threads, where it stays.
//!
//! A connection lives on one thread with its own current-thread runtime, so that its packets are never passed
//! between cores; threads share nothing but the configuration and the door for logins.

use std::io;
use std::sync::Arc;
use std::thread;

use hop_ssh::warm_up;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::EndpointConfig;
use crate::connection::serve;
use crate::limits::LoginDoor;
use crate::listener::{Incoming, Listener};
use crate::{open_files, orphans};

/// Accepted connections that wait for a thread; more wait in the listener's backlog.
const HANDOVER: usize = 64;

/// The SSH server of one environment.
#[derive(Debug, Clone)]
pub struct Endpoint {
    config: Arc<EndpointConfig>,
    door: LoginDoor,
    cut: CancellationToken,
}

/// The endpoint cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The system gives no thread, or no event queue for it.
    #[error("cannot start a thread for connections: {0}")]
    Thread(#[source] io::Error),
    /// A listener broke.
    #[error("accepting connections failed: {0}")]
    Accept(#[source] io::Error),
}

impl Endpoint {
    /// An endpoint with this configuration.
    pub fn new(config: EndpointConfig) -> Self {
        let door = LoginDoor::new(&config.limits);
        Self { config: Arc::new(config), door, cut: CancellationToken::new() }
    }

    /// Ends all connections at once: what runs in them is hung up, by the time that [`serve`](Self::serve) returns.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Serves one connection on the current runtime, to its end.
    pub async fn serve_one(&self, incoming: Incoming, stop: CancellationToken) {
        serve(incoming, Arc::clone(&self.config), self.door.clone(), stop).await;
    }

    /// Accepts from all listeners until `stop` is cancelled, then closes them and waits until the connections have
    /// drained, or are [`cut`](Self::cut). A caller that does not wait leaves behind what runs in them. `threads` is how many carry connections, at least one; the caller's only accepts.
    pub async fn serve(
        &self,
        listeners: Vec<Listener>,
        threads: usize,
        stop: CancellationToken,
    ) -> Result<(), ServeError> {
        open_files::raise();
        let prepare = match listeners.iter().any(Listener::speaks_ssh) {
            true => warm_up,
            false => || (),
        };
        let mut workers = Vec::new();
        for number in 0..threads.max(1) {
            let worker = Worker::start(self.clone(), number, prepare, stop.clone());
            workers.push(worker.map_err(ServeError::Thread)?);
        }
        let result = tokio::select! {
            result = self.accept_all(listeners, &workers, &stop) => result,
            () = async {
                orphans::collect().await;
                std::future::pending().await
            } => Ok(()),
        };
        // Also after an error: connections that are there may end in peace.
        stop.cancel();
        for worker in workers {
            worker.join().await;
        }
        result
    }

    async fn accept_all(
        &self,
        listeners: Vec<Listener>,
        workers: &[Worker],
        stop: &CancellationToken,
    ) -> Result<(), ServeError> {
        let (sender, mut accepted) = mpsc::channel(1);
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let sender = sender.clone();
            accepting.spawn(async move {
                loop {
                    let incoming = listener.accept().await;
                    let broken = incoming.is_err();
                    if sender.send(incoming).await.is_err() || broken {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut turns = workers.iter().cycle();
        let over = async {
            tokio::select! { () = stop.cancelled() => {}, () = self.cut.cancelled() => {} }
        };
        let mut over = std::pin::pin!(over);
        loop {
            let incoming = tokio::select! { () = &mut over => break, incoming = accepted.recv() => incoming };
            let Some(incoming) = incoming else { break };
            let incoming = incoming.map_err(ServeError::Accept)?;
            let Some(worker) = turns.next() else { break };
            // A worker ends only when it is stopped.
            let _stopped = worker.connections.send(incoming).await;
        }
        Ok(())
    }
}

/// A thread that carries connections.
struct Worker {
    connections: mpsc::Sender<Incoming>,
    done: tokio::sync::oneshot::Receiver<()>,
}

impl Worker {
    /// `prepare` is run on the thread before it takes connections, which may be waiting already.
    fn start(endpoint: Endpoint, number: usize, prepare: fn(), stop: CancellationToken) -> io::Result<Self> {
        let (connections, mut queue) = mpsc::channel::<Incoming>(HANDOVER);
        let (sender, done) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let cut = endpoint.cut.clone();
        let work = async move {
            let tasks = TaskTracker::new();
            while let Some(Some(incoming)) = stop.run_until_cancelled(queue.recv()).await {
                let endpoint = endpoint.clone();
                let stop = stop.clone();
                tasks.spawn(async move { endpoint.serve_one(incoming, stop).await });
            }
            tasks.close();
            tasks.wait().await;
        };
        let run = move || {
            prepare();
            // What is dropped with its task hangs up its processes.
            let _cut = runtime.block_on(cut.run_until_cancelled(work));
            // A file call that hangs (SFTP on a dead mount) must not keep the server from stopping.
            runtime.shutdown_background();
            // Nobody waits any more: then nobody wants to know.
            let _unheard = sender.send(());
        };
        thread::Builder::new().name(format!("hop-{number}")).spawn(run)?;
        Ok(Self { connections, done })
    }

    async fn join(self) {
        drop(self.connections);
        // An error says that the thread is gone, too.
        let _done = self.done.await;
    }
}
