//! Names of users and groups, for listings and for users-groups-by-id@openssh.com.
//!
//! A look-up may ask a directory server on the network, so answers, also "no such id", are kept for the session.

use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt as _;

use nix::unistd::{Gid, Group, Uid, User};

/// Ids kept before all are forgotten and learnt again.
const KEPT: usize = 4096;

/// Known names by id.
#[derive(Default)]
pub(crate) struct Accounts {
    users: HashMap<u32, Option<Vec<u8>>>,
    groups: HashMap<u32, Option<Vec<u8>>>,
}

impl Accounts {
    /// The user's name; `None` when there is no such user or the look-up fails.
    pub(crate) fn user(&mut self, id: u32) -> Option<&[u8]> {
        look_up(&mut self.users, id, |id| {
            User::from_uid(Uid::from_raw(id)).ok().flatten().map(|user| user.name)
        })
    }

    /// The group's name; `None` when there is no such group or the look-up fails.
    pub(crate) fn group(&mut self, id: u32) -> Option<&[u8]> {
        look_up(&mut self.groups, id, |id| {
            Group::from_gid(Gid::from_raw(id)).ok().flatten().map(|group| group.name)
        })
    }
}

fn look_up(
    known: &mut HashMap<u32, Option<Vec<u8>>>,
    id: u32,
    ask: impl FnOnce(u32) -> Option<String>,
) -> Option<&[u8]> {
    if known.len() >= KEPT && !known.contains_key(&id) {
        known.clear();
    }
    known.entry(id).or_insert_with(|| ask(id).map(String::into_bytes)).as_deref()
}

/// The home directory of a named user; `None` when there is no such user.
pub(crate) fn home_of(name: &[u8]) -> Option<Vec<u8>> {
    let name = std::str::from_utf8(name).ok()?;
    User::from_name(name).ok().flatten().map(|user| user.dir.into_os_string().into_vec())
}
