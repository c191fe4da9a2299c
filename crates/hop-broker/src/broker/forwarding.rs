//! Forwardings on held connections: opened for a conversation and closed with it, or kept until the host is logged out of;
//! and those of passengers, closed after them.
//!
//! Must stay true: nothing stays open that its owner has left; what is kept is opened again on the next connection.

use super::login;
use super::place::PlaceId;
use super::{Broker, Input};
use crate::protocol::{Event, Failure, FailureKind, ForwardStatus};
use hop_connect::Alias;
use hop_connect::connection::Connection;
use hop_connect::mux::forward::{Direction, Forward};

/// Forwardings of one host; a master holds them all in lists.
const MOST: usize = 256;

/// An open forwarding.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    forward: Forward,
    /// The conversation that it ends with; `None` stays.
    owner: Option<PlaceId>,
    /// The port that the host chose.
    port: Option<u16>,
}

/// What a task has opened, or not.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) alias: Alias,
    /// Of which login; an older one's are gone.
    pub(super) generation: u64,
    pub(super) forward: Forward,
    pub(super) owner: Option<PlaceId>,
    /// Who hears of it.
    pub(super) asked: Option<PlaceId>,
    pub(super) result: Result<Option<u16>, String>,
}

impl Kept {
    pub(super) fn status(&self) -> ForwardStatus {
        ForwardStatus { forward: self.forward.to_string(), port: self.port, stays: self.owner.is_none() }
    }
}

impl Broker {
    pub(super) fn forward(&mut self, place: PlaceId, alias: &Alias, forward: Forward, stays: bool) {
        let refuse = |reason: String| Event::Refused { reason };
        let Some(held) = self.held.get(alias).filter(|held| matches!(held.connection, Connection::Up(_)))
        else {
            return self.answer(place, refuse(format!("{alias} is not logged in")));
        };
        let is_same = |kept: &&Kept| {
            let is_here = |forward: &Forward| forward.direction != Direction::Remote;
            kept.forward.listen == forward.listen
                && is_here(&kept.forward) == is_here(&forward)
                && !forward.is_anywhere()
        };
        if let Some(kept) = held.forwards.iter().find(is_same) {
            return self.answer(place, refuse(format!("{} is open already", kept.forward)));
        }
        if held.forwards.len() >= MOST {
            return self.answer(place, refuse(format!("{MOST} forwardings are open on {alias}")));
        }
        let owner = (!stays).then_some(place);
        self.open_forward(alias, forward, owner, Some(place));
    }

    fn open_forward(
        &mut self,
        alias: &Alias,
        forward: Forward,
        owner: Option<PlaceId>,
        asked: Option<PlaceId>,
    ) {
        let Some(held) = self.held.get(alias) else { return };
        let generation = held.attempt.generation;
        let opened = Opened { alias: alias.clone(), generation, forward, owner, asked, result: Ok(None) };
        self.tasks.spawn(login::forwarding(held.socket(&self.sockets), opened, self.inbox.clone()));
    }

    /// A task has opened one, or could not.
    pub(super) fn forwarded(&mut self, opened: Opened) {
        let Opened { alias, generation, forward, owner, asked, result } = opened;
        let event = match &result {
            Ok(port) => Event::Forwarded { port: *port },
            Err(reason) => {
                Event::Refused { reason: format!("cannot forward {forward} on {alias}: {reason}") }
            }
        };
        if let Some(asked) = asked {
            self.answer(asked, event);
        }
        let Some(held) = self.held.get_mut(&alias).filter(|held| held.attempt.generation == generation)
        else {
            return;
        };
        match result {
            Ok(port) => {
                let is_owned = owner.is_none_or(|owner| self.places.contains_key(&owner));
                held.forwards.retain(|kept| kept.forward != forward);
                if is_owned {
                    held.forwards.push(Kept { forward, owner, port });
                } else {
                    self.close_forward(&alias, forward);
                }
            }
            Err(reason) => tracing::info!(%alias, %forward, reason, "a forwarding was not opened"),
        }
    }

    /// Closes one that stays, or is another's.
    pub(super) fn unforward(&mut self, place: PlaceId, alias: &Alias, forward: &Forward) {
        let held = self.held.get_mut(alias);
        let found = held.and_then(|held| {
            let index = held.forwards.iter().position(|kept| kept.forward == *forward)?;
            Some(held.forwards.swap_remove(index))
        });
        match found {
            Some(kept) => {
                self.close_forward(alias, kept.forward);
                if let Some(owner) = kept.owner {
                    let reason = format!("{forward} was closed by somebody else");
                    let kind = FailureKind::Denied;
                    self.answer(owner, Event::Failed(Failure { kind, reason, hint: None }));
                }
                self.answer(place, Event::Done);
            }
            None => {
                let reason = format!("{forward} is not open on {alias}");
                self.answer(place, Event::Refused { reason });
            }
        }
    }

    fn close_forward(&mut self, alias: &Alias, forward: Forward) {
        let Some(held) = self.held.get(alias) else { return };
        self.tasks.spawn(login::unforwarding(held.socket(&self.sockets), forward));
    }

    /// Its conversation is over.
    pub(super) fn close_forwards_of(&mut self, place: PlaceId) {
        let aliases: Vec<Alias> = self.held.keys().cloned().collect();
        for alias in aliases {
            let Some(held) = self.held.get_mut(&alias) else { continue };
            let (gone, left) = held.forwards.drain(..).partition(|kept| kept.owner == Some(place));
            held.forwards = left;
            let gone: Vec<Kept> = gone;
            for kept in gone {
                self.close_forward(&alias, kept.forward);
            }
        }
    }

    /// A passenger is gone; the master keeps what was opened for it otherwise.
    pub(super) fn close_forwards_after(&mut self, alias: &Alias, forwards: Vec<Forward>) {
        for forward in forwards {
            let Some(held) = self.held.get(alias) else { return };
            let is_shared = held.passengers.values().any(|rider| rider.forwards.contains(&forward))
                || held.forwards.iter().any(|kept| kept.forward == forward);
            if !is_shared {
                self.close_forward(alias, forward);
            }
        }
    }

    /// The connection is gone, and with it all of them.
    pub(super) fn forwards_ended(&mut self, alias: &Alias, reason: &str) {
        let Some(held) = self.held.get_mut(alias) else { return };
        let (owned, staying) = held.forwards.drain(..).partition(|kept| kept.owner.is_some());
        held.forwards = staying;
        let owned: Vec<Kept> = owned;
        for owner in owned.iter().filter_map(|kept| kept.owner) {
            let reason = format!("the forwardings on {alias} have ended: {reason}");
            let hint = Some(format!("hop forward {alias} again; with --background it comes back by itself"));
            self.answer(owner, Event::Failed(Failure { kind: FailureKind::Unreachable, reason, hint }));
        }
    }

    /// There is a connection again.
    pub(super) fn reopen_forwards(&mut self, alias: &Alias) {
        let Some(held) = self.held.get(alias) else { return };
        let staying: Vec<Forward> = held.forwards.iter().map(|kept| kept.forward.clone()).collect();
        for forward in staying {
            self.open_forward(alias, forward, None, None);
        }
    }
}

impl From<Opened> for Input {
    fn from(opened: Opened) -> Self {
        Self::Forwarded(Box::new(opened))
    }
}
