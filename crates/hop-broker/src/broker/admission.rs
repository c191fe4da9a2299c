//! Who may use a connection that is up, and when: all who wait, in the order in which they came, as far as the host
//! takes sessions.

use super::Broker;
use super::held::{Rider, seconds};
use super::login;
use super::place::{PlaceId, Purpose, Waits};
use super::room::HANDOVER;
use crate::protocol::{Event, UserStatus};
use hop_connect::Alias;
use hop_connect::connection::{self, Connection};

impl Broker {
    /// Everybody who waits may use it now, in the order in which they came, as far as the host takes sessions.
    pub(super) fn up(&mut self, alias: &Alias, was_up: bool) {
        self.judge_waiting(alias);
        let Some(held) = self.held.get_mut(alias) else { return };
        let Connection::Up(up) = held.connection else { return };
        held.was_up = true;
        let waiting: Vec<PlaceId> =
            self.places.iter().filter(|(_, place)| place.waits_for(alias)).map(|(id, _)| *id).collect();
        for id in waiting {
            let takes_session = |waits: &Waits| waits.purpose.takes_session();
            let has_place = match self.places.get(&id).and_then(|place| place.waits.as_ref()) {
                Some(waits) if takes_session(waits) => self.has_place(alias),
                _ => true,
            };
            if has_place {
                self.admit(id, alias, up, was_up);
            } else {
                self.put_in_line(id, alias);
            }
        }
        self.count_users(alias);
    }

    fn has_place(&self, alias: &Alias) -> bool {
        self.held.get(alias).is_none_or(|held| held.room.has_place(self.sessions(alias)))
    }

    /// The first in line goes and sees whether there is room after all.
    pub(super) fn pause_ended(&mut self, alias: &Alias) {
        let open = self.sessions(alias);
        let Some(held) = self.held.get_mut(alias) else { return };
        let Connection::Up(up) = held.connection else {
            held.room.end_pause(0);
            return;
        };
        if held.room.end_pause(open) {
            let line = self.places.iter().filter(|(_, place)| place.waits_for(alias));
            // Who is refused in a program of ours tries again without a word.
            let first = line.clone().find(|(_, place)| place.is_quiet()).or_else(|| line.clone().next());
            if let Some(id) = first.map(|(id, _)| *id) {
                self.admit(id, alias, up, true);
            }
        }
        self.up(alias, true);
    }

    pub(super) fn admit(&mut self, id: PlaceId, alias: &Alias, up: connection::Up, was_up: bool) {
        let Some(held) = self.held.get_mut(alias) else { return };
        let (Some(place), Some(resolved)) = (self.places.get_mut(&id), held.resolved.clone()) else { return };
        let Some(waits) = place.waits.take() else { return };
        place.tell(Event::Up {
            socket: self.sockets.control_socket(alias),
            master: up.pid,
            until: seconds(up.until),
            was_up,
            resolved: Box::new(resolved),
        });
        let has_session = waits.purpose.takes_session();
        match waits.purpose {
            Purpose::Login => {}
            Purpose::Use { what, takes_session } => {
                place.has_session = takes_session;
                place.uses = Some((alias.clone(), UserStatus { what, pid: place.pid }));
            }
            Purpose::Ride { pid, started_by, passenger } => {
                let forwards = passenger.forwards();
                held.passengers.insert(pid, Rider { what: started_by, has_session, forwards });
                self.tasks.spawn(login::riding(alias.clone(), pid, self.inbox.clone()));
            }
        }
    }

    pub(super) fn put_in_line(&mut self, id: PlaceId, alias: &Alias) {
        let users = self.users(alias, true);
        let names: Vec<_> = users.iter().map(|user| format!("{} ({})", user.what, user.pid)).collect();
        let whose = if names.is_empty() { "them to end".to_owned() } else { names.join(", ") };
        let text = format!("{alias} takes no more sessions at once; waiting for one of {whose}");
        if let Some(place) = self.places.get_mut(&id)
            && let Some(waits) = place.waits.as_mut().filter(|waits| !waits.is_in_line)
        {
            waits.is_in_line = true;
            place.tell(Event::InLine { text });
        }
        if let Some(pause) = self.held.get_mut(alias).and_then(|held| held.room.begin_pause()) {
            self.tasks.spawn(login::pausing(alias.clone(), pause, self.inbox.clone()));
        }
    }

    /// A session was refused, or is opened by another process in place of the one that was let through.
    pub(super) fn refused(&mut self, alias: &Alias) {
        let open = self.sessions(alias);
        if let Some(held) = self.held.get_mut(alias) {
            held.room.is_full(open);
        }
    }

    /// An ssh that was let through has been refused if it is now served by a process of ours.
    pub(super) fn is_served_instead(&mut self, alias: &Alias, by: u32) {
        let Some(held) = self.held.get_mut(alias) else { return };
        // Without a connection it was refused for want of that.
        if !matches!(held.connection, Connection::Up(_)) {
            return;
        }
        let is_ours = |rider: u32| by != std::process::id() && hop_connect::parent::is_ancestor(rider, by);
        let rider = held.passengers.iter_mut().find(|(pid, rider)| rider.has_session && is_ours(**pid));
        if let Some((_, rider)) = rider {
            rider.has_session = false;
            self.refused(alias);
        }
    }

    /// Who uses it, all or those only that have a session.
    pub(super) fn users(&self, alias: &Alias, by_session: bool) -> Vec<UserStatus> {
        let riders = self.held.get(alias).into_iter().flat_map(|held| &held.passengers);
        let riders = riders
            .filter(|(_, rider)| rider.has_session || !by_session)
            .map(|(pid, rider)| UserStatus { what: rider.what.clone(), pid: *pid });
        let own = self.places.values().filter(|place| place.has_session || !by_session);
        let own = own.filter_map(|place| place.uses.as_ref());
        riders.chain(own.filter(|(used, _)| used == alias).map(|(_, user)| user.clone())).collect()
    }

    /// How many sessions are open that we know of.
    pub(super) fn sessions(&self, alias: &Alias) -> usize {
        let own = self.places.values().filter(|place| place.has_session && place.uses_host(alias)).count();
        let riders = self.held.get(alias).into_iter().flat_map(|held| held.passengers.values());
        own + riders.filter(|rider| rider.has_session).count()
    }

    pub(super) fn count_users(&mut self, alias: &Alias) {
        let users = self.users(alias, false).len();
        self.event(alias, connection::Event::Users(users));
    }

    pub(super) fn left(&mut self, place: PlaceId) {
        let Some(gone) = self.places.remove(&place) else { return };
        self.askpass_left(place);
        self.close_forwards_of(place);
        if let Some((alias, _)) = gone.uses {
            self.user_left(&alias, gone.has_session);
        }
    }

    pub(super) fn user_left(&mut self, alias: &Alias, had_session: bool) {
        self.count_users(alias);
        let somebody_waits = self.places.values().any(|place| place.waits_for(alias));
        match self.held.get_mut(alias) {
            Some(held) if had_session && somebody_waits => {
                held.room.ended();
                self.tasks.spawn(login::pausing(alias.clone(), HANDOVER, self.inbox.clone()));
            }
            _ => self.up(alias, true),
        }
    }
}
