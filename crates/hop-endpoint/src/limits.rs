//! How much a peer may cost: the numbers, the door for connections that are not logged in yet, and what
//! tells idle ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Limits of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time from a connection's first byte to its login.
    pub login_grace: Duration,
    /// Failed signatures and refused keys of one connection; probes do not count.
    pub login_attempts: u32,
    /// Connections that are not logged in yet, all together; more wait.
    pub unauthenticated: usize,
    /// Connections that wait for one of those places; more are closed at once.
    pub waiting: usize,
    /// Session channels open at a time on one connection.
    pub sessions: usize,
    /// `-R` listeners of one connection, of both kinds.
    pub listeners: usize,
    /// Forwarded connections open at a time on one connection, in both directions.
    pub forwarded: usize,
    /// A connection without channel data for this long is closed; `None` never. Keepalives are no data.
    pub idle: Option<Duration>,
    /// After this long without a sound from the peer it is asked for a sign of life; `None` never.
    pub keepalive: Option<Duration>,
    /// So many questions without an answer end the connection.
    pub keepalive_misses: u32,
    /// After this long without a packet of ours an empty one follows, once: programs on the way may hold back the end of
    /// what they got until more comes; `None` never.
    pub push: Option<Duration>,
    /// Time that sessions have to end by themselves when the server stops.
    pub drain: Duration,
    /// Time that a process has to react to a hang-up.
    pub hang_up: Duration,
    /// Time that a forwarding's target has to accept.
    pub dial: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_grace: Duration::from_secs(120),
            login_attempts: 6,
            unauthenticated: 100,
            waiting: 400,
            sessions: 64,
            listeners: 64,
            forwarded: 512,
            idle: None,
            // Finds dead peers behind NAT within three minutes.
            keepalive: Some(Duration::from_secs(60)),
            keepalive_misses: 3,
            push: None,
            drain: Duration::from_secs(30),
            hang_up: Duration::from_secs(10),
            dial: Duration::from_secs(60),
        }
    }
}

/// The door: a bounded number of connections may be in key exchange and authentication, and a bounded number
/// may wait outside, in order of arrival.
#[derive(Debug, Clone)]
pub struct LoginDoor {
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    most_waiting: usize,
}

/// A place inside; given back when dropped, at the latest with the connection, normally at login.
#[derive(Debug)]
pub struct LoginPlace {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Too many wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many connections wait to log in")]
pub struct TooManyWaiting;

impl LoginDoor {
    /// A door with the limits' numbers.
    pub fn new(limits: &Limits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.unauthenticated.clamp(1, Semaphore::MAX_PERMITS))),
            waiting: Arc::new(AtomicUsize::new(0)),
            most_waiting: limits.waiting,
        }
    }

    /// Goes in, waiting for a place if there is room to wait. Cancel-safe: who stops waiting leaves the queue.
    pub async fn enter(&self) -> Result<LoginPlace, TooManyWaiting> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(LoginPlace { _permit: Some(permit) });
        }
        let _queued = Queued::join(&self.waiting, self.most_waiting)?;
        // Never closed, so never an error; without a permit the place would simply not be counted.
        Ok(LoginPlace { _permit: Arc::clone(&self.places).acquire_owned().await.ok() })
    }
}

struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn join(waiting: &'a AtomicUsize, most: usize) -> Result<Self, TooManyWaiting> {
        let join = |count: usize| (count < most).then_some(count + 1);
        match waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, join) {
            Ok(_) => Ok(Self(waiting)),
            Err(_) => Err(TooManyWaiting),
        }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether channel data goes by on any connection of an endpoint: for whoever stops what nobody uses. Clones share it.
/// Keepalives, pings and logins do not count.
#[derive(Debug, Clone, Default)]
pub struct ChannelActivity(Arc<AtomicU64>);

impl ChannelActivity {
    /// A number that changes when data goes by.
    pub fn mark(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// When a connection last carried channel data, shared by everything that moves such data.
#[derive(Debug)]
pub struct Activity {
    start: Instant,
    /// Milliseconds after `start`.
    last: AtomicU64,
    /// Of all connections.
    all: ChannelActivity,
}

impl Activity {
    /// A connection that was active just now.
    pub fn start() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0), all: ChannelActivity::default() }
    }

    /// Counts into this, too.
    #[must_use]
    pub(crate) fn counted_by(mut self, all: &ChannelActivity) -> Self {
        self.all = all.clone();
        self
    }

    /// Channel data went by.
    pub fn touch(&self) {
        self.all.0.fetch_add(1, Ordering::Relaxed);
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Returns when there has been no data for the limit; never without a limit. Cancel-safe.
    pub async fn idle_for(&self, limit: Option<Duration>) {
        let Some(limit) = limit else { return std::future::pending().await };
        loop {
            let due = self.start + Duration::from_millis(self.last.load(Ordering::Relaxed)) + limit;
            if due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn door(unauthenticated: usize, waiting: usize) -> LoginDoor {
        LoginDoor::new(&Limits { unauthenticated, waiting, ..Limits::default() })
    }

    #[tokio::test]
    async fn a_full_house_makes_wait_and_a_full_queue_turns_away() {
        let door = door(1, 1);
        let inside = door.enter().await.unwrap();
        let mut second = Box::pin(door.enter());
        assert!(matches!(
            std::future::poll_fn(|c| Poll::Ready(second.as_mut().poll(c))).await,
            Poll::Pending
        ));
        assert_eq!(door.enter().await.unwrap_err(), TooManyWaiting);
        drop(inside);
        let inside = second.await.unwrap();
        let mut third = Box::pin(door.enter());
        assert!(matches!(std::future::poll_fn(|c| Poll::Ready(third.as_mut().poll(c))).await, Poll::Pending));
        // Leaving the queue makes room in it.
        drop(third);
        drop(inside);
        door.enter().await.unwrap();
        assert_eq!(door.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_counts_from_the_last_data() {
        let activity = Activity::start();
        let start = Instant::now();
        let toucher = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            activity.touch();
        };
        tokio::join!(toucher, activity.idle_for(Some(Duration::from_secs(10))));
        assert_eq!(start.elapsed(), Duration::from_secs(17));
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_never_expires() {
        let activity = Activity::start();
        let waited = tokio::time::timeout(Duration::from_secs(1_000_000), activity.idle_for(None)).await;
        assert!(waited.is_err());
    }
}
