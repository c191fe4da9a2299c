//! What people are told of all that is held.

use super::Broker;
use crate::protocol::{Event, Status};

impl Broker {
    pub(super) fn status(&self) -> Status {
        let connections = self.held.values().map(|held| {
            let alias = &held.alias;
            let waiting = self.places.values().filter(|place| place.waits_for(alias)).count();
            let asks =
                self.desk.open().find(|open| open.alias == *alias).map(|open| open.class.name().to_owned());
            let mut status = held.status(&self.sockets, self.users(alias, false), waiting, asks);
            status.waiters = self.places.values().filter_map(|place| place.waiter(alias)).collect();
            status
        });
        Status { connections: connections.collect() }
    }

    pub(super) fn tell_watchers(&mut self) {
        if !self.places.values().any(|place| place.watches) {
            self.told = None;
            return;
        }
        let status = self.status();
        if self.told.as_ref() != Some(&status) {
            for place in self.places.values().filter(|place| place.watches) {
                place.tell(Event::Status(status.clone()));
            }
            self.told = Some(status);
        }
    }
}
