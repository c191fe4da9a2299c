//! The door: how many connections that have proved nothing are served at once, and who is next.
//!
//! What must stay true: everything here is bounded, and sources take turns: one that knocks a thousand times keeps nobody
//! else waiting longer than its own place takes.

use crate::origin::Source;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// How many may be where.
#[derive(Debug, Clone, Copy)]
pub struct DoorLimits {
    /// Connections that are served before they have proved a key.
    pub inside: usize,
    /// Of one source.
    pub inside_per_source: usize,
    /// Of one source that has used up its room for failures.
    pub inside_penalised: usize,
    /// Connections that wait for a place; more are closed.
    pub waiting: usize,
    /// Of one source.
    pub waiting_per_source: usize,
    /// Connections whose refusal is put off; for more, there is no answer but the end. They have no place inside.
    pub slowed: usize,
    /// Of one source.
    pub slowed_per_source: usize,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            inside: 200,
            inside_per_source: 100,
            inside_penalised: 8,
            waiting: 1000,
            waiting_per_source: 400,
            slowed: 512,
            slowed_per_source: 32,
        }
    }
}

/// The books, without any waiting: `T` is who waits.
#[derive(Debug)]
struct Door<T> {
    limits: DoorLimits,
    sources: HashMap<Source, Visitors<T>>,
    /// Sources with somebody waiting, in turn.
    turns: VecDeque<Source>,
    inside: usize,
    waiting: usize,
    slowed: usize,
}

#[derive(Debug)]
struct Visitors<T> {
    inside: usize,
    most_inside: usize,
    slowed: usize,
    waiting: VecDeque<T>,
}

/// What becomes of somebody who knocks.
#[derive(Debug, PartialEq, Eq)]
enum Knock<T> {
    Enter,
    Wait,
    Full(T),
}

impl<T> Door<T> {
    fn new(limits: DoorLimits) -> Self {
        let sources = HashMap::new();
        Self { limits, sources, turns: VecDeque::new(), inside: 0, waiting: 0, slowed: 0 }
    }

    fn knock(&mut self, source: Source, most_inside: usize, who: impl FnOnce() -> T) -> Knock<T> {
        let limits = self.limits;
        let visitors = self.sources.entry(source).or_insert_with(|| Visitors {
            inside: 0,
            most_inside,
            slowed: 0,
            waiting: VecDeque::new(),
        });
        visitors.most_inside = most_inside.max(1);
        let has_turn = visitors.waiting.is_empty() && visitors.inside < visitors.most_inside;
        if has_turn && self.inside < limits.inside.max(1) {
            visitors.inside += 1;
            self.inside += 1;
            return Knock::Enter;
        }
        if self.waiting >= limits.waiting || visitors.waiting.len() >= limits.waiting_per_source {
            self.forget(source);
            return Knock::Full(who());
        }
        if visitors.waiting.is_empty() {
            self.turns.push_back(source);
        }
        visitors.waiting.push_back(who());
        self.waiting += 1;
        Knock::Wait
    }

    /// Somebody inside is done; whoever comes in instead.
    fn leave(&mut self, source: Source) -> Option<(Source, T)> {
        if let Some(visitors) = self.sources.get_mut(&source) {
            visitors.inside = visitors.inside.saturating_sub(1);
            self.inside = self.inside.saturating_sub(1);
        }
        self.forget(source);
        self.next()
    }

    fn next(&mut self) -> Option<(Source, T)> {
        for _ in 0..self.turns.len() {
            if self.inside >= self.limits.inside.max(1) {
                return None;
            }
            let source = self.turns.pop_front()?;
            let Some(visitors) = self.sources.get_mut(&source) else { continue };
            if visitors.inside >= visitors.most_inside {
                self.turns.push_back(source);
                continue;
            }
            let Some(who) = visitors.waiting.pop_front() else { continue };
            visitors.inside += 1;
            self.inside += 1;
            self.waiting = self.waiting.saturating_sub(1);
            if !visitors.waiting.is_empty() {
                self.turns.push_back(source);
            }
            return Some((source, who));
        }
        None
    }

    /// Somebody inside is to be slowed: gives the place up. False when too many are slowed already.
    fn slow(&mut self, source: Source) -> bool {
        let limits = self.limits;
        let Some(visitors) = self.sources.get_mut(&source) else { return false };
        if self.slowed >= limits.slowed || visitors.slowed >= limits.slowed_per_source {
            return false;
        }
        visitors.slowed += 1;
        self.slowed += 1;
        true
    }

    fn leave_slowed(&mut self, source: Source) {
        if let Some(visitors) = self.sources.get_mut(&source) {
            visitors.slowed = visitors.slowed.saturating_sub(1);
            self.slowed = self.slowed.saturating_sub(1);
        }
        self.forget(source);
    }

    fn forget(&mut self, source: Source) {
        let gone = |visitors: &Visitors<T>| {
            visitors.inside == 0 && visitors.slowed == 0 && visitors.waiting.is_empty()
        };
        if self.sources.get(&source).is_some_and(gone) {
            self.sources.remove(&source);
        }
    }
}

/// The door with those who wait at it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Entrance {
    door: Arc<Mutex<Door<oneshot::Sender<Place>>>>,
}

/// There is no room to wait, or to be slowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many connections that have not proved a key")]
pub(crate) struct Full;

/// A place inside, or among the slowed; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    entrance: Entrance,
    source: Source,
    state: PlaceState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlaceState {
    Inside,
    Slowed,
    GivenBack,
}

impl Entrance {
    pub(crate) fn new(limits: DoorLimits) -> Self {
        Self { door: Arc::new(Mutex::new(Door::new(limits))) }
    }

    fn lock(&self) -> MutexGuard<'_, Door<oneshot::Sender<Place>>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes in, or waits for a place in turn.
    pub(crate) async fn enter(&self, source: Source, is_penalised: bool) -> Result<Place, Full> {
        let (sender, turn) = oneshot::channel();
        let knock = {
            let mut door = self.lock();
            let limits = door.limits;
            let most = if is_penalised { limits.inside_penalised } else { limits.inside_per_source };
            door.knock(source, most, || sender)
        };
        match knock {
            Knock::Enter => Ok(Place { entrance: self.clone(), source, state: PlaceState::Inside }),
            // The door is gone only with the gateway.
            Knock::Wait => turn.await.map_err(|_| Full),
            Knock::Full(_) => Err(Full),
        }
    }

    fn leave(&self, source: Source) {
        let mut next = self.lock().leave(source);
        while let Some((source, who)) = next.take() {
            let place = Place { entrance: self.clone(), source, state: PlaceState::Inside };
            if let Err(mut place) = who.send(place) {
                // Nobody waits there any more.
                place.state = PlaceState::GivenBack;
                next = self.lock().leave(source);
            }
        }
    }
}

impl Place {
    /// Moves among the slowed, whose number is bounded by itself: the place inside is free for others.
    pub(crate) fn slow(&mut self) -> Result<(), Full> {
        match self.state {
            PlaceState::Slowed => Ok(()),
            PlaceState::GivenBack => Err(Full),
            PlaceState::Inside => {
                if !self.entrance.lock().slow(self.source) {
                    return Err(Full);
                }
                self.state = PlaceState::Slowed;
                self.entrance.leave(self.source);
                Ok(())
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.state {
            PlaceState::Inside => self.entrance.leave(self.source),
            PlaceState::Slowed => self.entrance.lock().leave_slowed(self.source),
            PlaceState::GivenBack => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    const A: Source = Source::V4([192, 0, 2, 1]);
    const B: Source = Source::V4([192, 0, 2, 2]);

    fn limits() -> DoorLimits {
        DoorLimits {
            inside: 3,
            inside_per_source: 2,
            inside_penalised: 1,
            waiting: 4,
            waiting_per_source: 3,
            slowed: 2,
            slowed_per_source: 1,
        }
    }

    #[test]
    fn a_source_fills_its_share_and_no_more() {
        let mut door = Door::new(limits());
        assert_eq!(door.knock(A, 2, || 1), Knock::Enter);
        assert_eq!(door.knock(A, 2, || 2), Knock::Enter);
        for number in 3..6 {
            assert_eq!(door.knock(A, 2, || number), Knock::Wait);
        }
        assert_eq!(door.knock(A, 2, || 6), Knock::Full(6));
        // Others come in past those who wait for their own share, and the queue has an end.
        assert_eq!(door.knock(B, 2, || 7), Knock::Enter);
        assert_eq!(door.knock(B, 2, || 8), Knock::Wait);
        assert_eq!(door.knock(B, 2, || 9), Knock::Full(9));
        // Turns: A's first, then B's, though two more of A came before.
        assert_eq!(door.leave(A), Some((A, 3)));
        assert_eq!(door.leave(A), Some((B, 8)));
        assert_eq!(door.leave(B), Some((A, 4)));
        assert_eq!(door.leave(B), None, "A has its share");
        assert_eq!(door.leave(A), Some((A, 5)));
        assert_eq!(door.leave(A), None);
        assert_eq!(door.leave(A), None);
        assert_eq!((door.inside, door.waiting, door.sources.len(), door.turns.len()), (0, 0, 0, 0));
    }

    #[test]
    fn a_penalised_source_has_a_smaller_share() {
        let mut door = Door::new(limits());
        assert_eq!(door.knock(A, 1, || 1), Knock::Enter);
        assert_eq!(door.knock(A, 1, || 2), Knock::Wait);
        assert_eq!(door.knock(B, 2, || 3), Knock::Enter);
    }

    #[test]
    fn the_slowed_are_bounded_and_leave_their_place() {
        let mut door: Door<i32> = Door::new(limits());
        for source in [A, A, B] {
            assert_eq!(door.knock(source, 2, || 0), Knock::Enter);
        }
        assert!(door.slow(A));
        assert!(!door.slow(A), "one of each source");
        assert!(door.slow(B));
        assert!(!door.slow(Source::V4([192, 0, 2, 3])));
        door.leave(A);
        door.leave(A);
        door.leave(B);
        assert_eq!(door.sources.len(), 2);
        door.leave_slowed(A);
        door.leave_slowed(B);
        assert_eq!((door.slowed, door.sources.len()), (0, 0));
    }

    #[tokio::test]
    async fn places_pass_on_also_when_nobody_waits_any_more() {
        let entrance = Entrance::new(DoorLimits { inside: 1, ..limits() });
        let mut first = entrance.enter(A, false).await.unwrap();
        let mut gone = Box::pin(entrance.enter(A, false));
        let mut second = Box::pin(entrance.enter(B, false));
        for waiting in [&mut gone, &mut second] {
            let poll = std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
            assert!(poll.is_pending());
        }
        drop(gone);
        first.slow().unwrap();
        let second = second.await.unwrap();
        drop(first);
        drop(second);
        let door = entrance.lock();
        assert_eq!((door.inside, door.waiting, door.slowed, door.sources.len()), (0, 0, 0, 0));
    }
}
