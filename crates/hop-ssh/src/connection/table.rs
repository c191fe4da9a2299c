//! The channels of a connection, by our number for them.

use super::channel::{Channel, Phase};

/// A slab: numbers are reused, lowest first, as OpenSSH does.
pub(crate) struct Table {
    slots: Vec<Option<Box<Channel>>>,
    used: usize,
    most: usize,
}

impl Table {
    pub(crate) fn new(most: usize) -> Self {
        Self { slots: Vec::new(), used: 0, most }
    }

    pub(crate) fn len(&self) -> usize {
        self.used
    }

    pub(crate) fn is_full(&self) -> bool {
        self.used >= self.most
    }

    /// Adds a channel and returns its number.
    pub(crate) fn add(&mut self, channel: Channel) -> u32 {
        self.used += 1;
        let index = match self.slots.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Box::new(channel));
        }
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    pub(crate) fn get_mut(&mut self, local: u32) -> Option<&mut Channel> {
        self.slots.get_mut(usize::try_from(local).ok()?)?.as_deref_mut()
    }

    pub(crate) fn remove(&mut self, local: u32) -> Option<Box<Channel>> {
        let removed = self.slots.get_mut(usize::try_from(local).ok()?)?.take();
        self.used -= usize::from(removed.is_some());
        while self.slots.last().is_some_and(Option::is_none) {
            self.slots.pop();
        }
        removed
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.slots.iter_mut().filter_map(|slot| slot.as_deref_mut())
    }

    /// Drops the channels that never came to be.
    pub(crate) fn drop_opening(&mut self) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|channel| matches!(channel.phase, Phase::Opening(_))) {
                *slot = None;
                self.used -= 1;
            }
        }
    }
}
