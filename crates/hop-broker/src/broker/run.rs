//! The broker's loop: the next input, what time has brought, what watchers are told; and the end of it all.

use super::login::{self, Order};
use super::{Broker, Input, serve};
use crate::ferry::{Port, PortError};
use hop_connect::Alias;
use hop_connect::connection::{self, Connection};
use std::time::{Duration, SystemTime};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

/// A broker with nothing to hold and nobody to talk to ends after this.
const NOTHING_LEFT: Duration = Duration::from_secs(60);
/// Time is looked at this often at least: a machine that slept finds its connections' ends soon after.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);
/// How long masters may take to end when the broker does.
const FAREWELL: Duration = Duration::from_secs(3);

impl Broker {
    /// Serves until nothing is left, it is asked to stop, or `stop` completes; then ends every connection.
    pub async fn run(mut self, listener: UnixListener, stop: impl Future<Output = ()>) {
        let accepting = tokio::spawn(serve::accept(listener, self.inbox.clone()));
        tokio::pin!(stop);
        // Tools go on using the port of before.
        if self.settings.keys.port().is_some()
            && let Err(error) = self.open_port()
        {
            tracing::warn!(%error, "the port of before is not open");
        }
        let mut empty_since = Some(SystemTime::now());
        while !self.is_stopping {
            let now = SystemTime::now();
            let has_nothing = !self.settings.stays
                && self.port.is_none()
                && self.places.is_empty()
                && self.held.values().all(|held| !held.is_worth_keeping());
            empty_since = if has_nothing { empty_since.or(Some(now)) } else { None };
            let left = empty_since
                .map(|since| NOTHING_LEFT.saturating_sub(now.duration_since(since).unwrap_or_default()));
            if left == Some(Duration::ZERO) {
                break;
            }
            let sleep = self.until_next(now).min(left.unwrap_or(LONGEST_SLEEP)).min(LONGEST_SLEEP);
            tokio::select! {
                input = self.inputs.recv() => match input {
                    Some(input) => self.take(input),
                    None => break,
                },
                () = tokio::time::sleep(sleep) => {}
                () = &mut stop => break,
            }
            self.tick();
            self.tell_watchers();
            while self.tasks.try_join_next().is_some() {}
        }
        // Conversations end last: whoever asked for the end waits for it.
        self.end_all().await;
        accepting.abort();
    }

    /// The port, opened if it is not.
    pub(super) fn open_port(&mut self) -> Result<u16, PortError> {
        if let Some(number) = self.port {
            return Ok(number);
        }
        let port = Port::bind(&self.settings.keys, self.sockets.clone())?;
        let number = port.number();
        tracing::info!(number, "listening on loopback");
        self.tasks.spawn(port.run());
        self.port = Some(number);
        Ok(number)
    }

    pub(super) fn until_next(&self, now: SystemTime) -> Duration {
        let connections = self.held.values().filter_map(|held| held.connection.next_tick(held.lifetime));
        let next = connections.chain(self.next_question_end()).min();
        next.map_or(LONGEST_SLEEP, |at| at.duration_since(now).unwrap_or_default())
    }

    pub(super) fn tick(&mut self) {
        let now = SystemTime::now();
        let due: Vec<Alias> = self
            .held
            .values()
            .filter(|held| held.connection.next_tick(held.lifetime).is_some_and(|at| at <= now))
            .map(|held| held.alias.clone())
            .collect();
        for alias in due {
            self.event(&alias, connection::Event::Tick);
        }
        self.give_up_questions(now);
    }

    /// Ends every master; those that do not go are killed.
    pub(super) async fn end_all(&mut self) {
        let mut orders = JoinSet::new();
        for held in self.held.values() {
            if let Some(pid) = held.attempt.master {
                match held.connection {
                    Connection::Up(_) | Connection::Draining(_) => {
                        orders.spawn(login::ordering(held.socket(&self.sockets), pid, Order::Terminate));
                    }
                    Connection::Starting(_) | Connection::Down(_) => hop_connect::master::kill(pid),
                }
            }
        }
        while orders.join_next().await.is_some() {}
        let _ = tokio::time::timeout(FAREWELL, async {
            while self.held.values().any(|held| held.attempt.master.is_some()) {
                match self.inputs.recv().await {
                    Some(Input::MasterEnded { alias, generation, .. }) => {
                        if let Some(held) = self.current(&alias, generation) {
                            held.attempt.master = None;
                        }
                    }
                    Some(_) => {}
                    None => return,
                }
            }
        })
        .await;
        for pid in self.held.values().filter_map(|held| held.attempt.master) {
            hop_connect::master::kill(pid);
        }
    }
}
