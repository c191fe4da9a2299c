//! Who may use a connection that is up, and when: all who wait, in the order in which they came, as far as the host
//! takes sessions.

use super::Broker;
use super::held::{Rider, seconds};
use super::login;
use super::place::{PlaceId, Purpose, Waits};
use super::room::Turn;
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
            let is_turn = match self.places.get(&id).and_then(|place| place.waits.as_ref()) {
                Some(waits) if takes_session(waits) => self.turn(alias),
                _ => Turn::Now,
            };
            match is_turn {
                Turn::Now => self.admit(id, alias, up, was_up),
                Turn::Probe { most } => {
                    let (socket, open) = (self.sockets.control_socket(alias), self.sessions(alias));
                    let probing = login::probing(socket, alias.clone(), open, most, self.inbox.clone());
                    self.tasks.spawn(probing);
                }
                Turn::Wait => self.put_in_line(id, alias),
            }
        }
        self.count_users(alias);
    }

    pub(super) fn turn(&mut self, alias: &Alias) -> Turn {
        let open = self.sessions(alias);
        self.held.get_mut(alias).map_or(Turn::Now, |held| held.room.turn(open))
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
            Purpose::Use(what) => place.uses = Some((alias.clone(), UserStatus { what, pid: place.pid })),
            Purpose::Ride { pid, started_by, .. } => {
                held.passengers.insert(pid, Rider { what: started_by, has_session });
                self.tasks.spawn(login::riding(alias.clone(), pid, self.inbox.clone()));
            }
        }
    }

    pub(super) fn put_in_line(&mut self, id: PlaceId, alias: &Alias) {
        let users = self.users(alias);
        let names: Vec<_> = users.iter().map(|user| format!("{} ({})", user.what, user.pid)).collect();
        let text = format!("{alias} takes no more sessions at once; waiting for one of {}", names.join(", "));
        let Some(place) = self.places.get_mut(&id) else { return };
        if let Some(waits) = place.waits.as_mut().filter(|waits| !waits.is_in_line) {
            waits.is_in_line = true;
            place.tell(Event::InLine { text });
        }
    }

    /// Who uses it.
    pub(super) fn users(&self, alias: &Alias) -> Vec<UserStatus> {
        let riders = self.held.get(alias).into_iter().flat_map(|held| &held.passengers);
        let riders = riders.map(|(pid, rider)| UserStatus { what: rider.what.clone(), pid: *pid });
        let own = self.places.values().filter_map(|place| place.uses.as_ref());
        riders.chain(own.filter(|(used, _)| used == alias).map(|(_, user)| user.clone())).collect()
    }

    /// How many sessions are open that we know of.
    pub(super) fn sessions(&self, alias: &Alias) -> usize {
        let own = self.places.values().filter(|place| place.uses_host(alias)).count();
        let riders = self.held.get(alias).into_iter().flat_map(|held| held.passengers.values());
        let settling = self.held.get(alias).map_or(0, |held| held.settling);
        own + settling + riders.filter(|rider| rider.has_session).count()
    }

    pub(super) fn count_users(&mut self, alias: &Alias) {
        let users = self.users(alias).len();
        self.event(alias, connection::Event::Users(users));
    }

    pub(super) fn left(&mut self, place: PlaceId) {
        let Some(gone) = self.places.remove(&place) else { return };
        self.askpass_left(place);
        if let Some((alias, _)) = gone.uses {
            self.user_left(&alias, true);
        }
    }

    pub(super) fn user_left(&mut self, alias: &Alias, had_session: bool) {
        self.count_users(alias);
        let somebody_waits = self.places.values().any(|place| place.waits_for(alias));
        match self.held.get_mut(alias) {
            Some(held) if had_session && somebody_waits => {
                held.settling += 1;
                held.room.ended();
                self.tasks.spawn(login::settling(alias.clone(), self.inbox.clone()));
            }
            _ => self.up(alias, true),
        }
    }
}
