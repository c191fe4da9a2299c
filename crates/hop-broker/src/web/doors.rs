//! Who may come in: links that open the page once, browsers that came by one, and the token of programs.
//!
//! Must stay true: a link is good once and for ten minutes; a browser shows two things, of which its neighbours can learn
//! neither: a cookie, and the path that the cookie is for. Cookies know no ports, so a cookie for `/` would be sent to
//! every server on this address, those of other users included; one for a path that nobody else knows is not.

use super::key::Key;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// From printing a link to opening it.
const LINK_LIFE: Duration = Duration::from_secs(600);
/// A browser that does not come any more.
const BROWSER_LIFE: Duration = Duration::from_secs(12 * 3600);
/// Of each kind; the oldest goes.
const MOST: usize = 32;

/// All that opens.
#[derive(Debug)]
pub(super) struct Doors {
    token: Key,
    keys: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    links: Vec<(Key, Instant)>,
    browsers: Vec<Browser>,
}

/// A browser that came by a link.
#[derive(Clone, Debug)]
pub(super) struct Browser {
    /// The first part of its paths.
    pub(super) path: Key,
    /// Its cookie.
    pub(super) cookie: Key,
    used: Instant,
}

impl Doors {
    pub(super) fn new(token: Key) -> Self {
        Self { token, keys: Mutex::default() }
    }

    /// What programs show.
    pub(super) fn token(&self) -> &Key {
        &self.token
    }

    pub(super) fn add_link(&self, key: Key) {
        let mut keys = self.keys();
        if keys.links.len() == MOST {
            keys.links.remove(0);
        }
        keys.links.push((key, Instant::now()));
    }

    /// Uses a link up.
    pub(super) fn enter(&self, link: &str) -> Option<Browser> {
        let mut keys = self.keys();
        keys.links.retain(|(_, made)| made.elapsed() < LINK_LIFE);
        let found = keys.links.iter().position(|(key, _)| key.is(link))?;
        keys.links.remove(found);
        let browser =
            Browser { path: Key::random().ok()?, cookie: Key::random().ok()?, used: Instant::now() };
        if keys.browsers.len() == MOST {
            keys.browsers.remove(0);
        }
        keys.browsers.push(browser.clone());
        Some(browser)
    }

    /// Whether a browser came by a link of ours.
    pub(super) fn knows(&self, path: &str, cookie: &str) -> bool {
        let mut keys = self.keys();
        keys.browsers.retain(|browser| browser.used.elapsed() < BROWSER_LIFE);
        let mut known = keys.browsers.iter_mut().filter(|browser| browser.path.is(path));
        known
            .next()
            .filter(|browser| browser.cookie.is(cookie))
            .map(|browser| browser.used = Instant::now())
            .is_some()
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_link_opens_once_and_for_a_while() {
        let doors = Doors::new(Key::random().unwrap());
        let (first, late) = (Key::random().unwrap(), Key::random().unwrap());
        doors.add_link(first.clone());
        let browser = doors.enter(first.expose()).unwrap();
        assert!(doors.enter(first.expose()).is_none(), "it was used");
        assert!(doors.knows(browser.path.expose(), browser.cookie.expose()));
        assert!(!doors.knows(browser.path.expose(), ""));
        assert!(!doors.knows("", browser.cookie.expose()));
        assert!(!doors.knows(browser.cookie.expose(), browser.path.expose()));
        doors.add_link(late.clone());
        tokio::time::advance(LINK_LIFE).await;
        assert!(doors.enter(late.expose()).is_none(), "it is too old");
        tokio::time::advance(BROWSER_LIFE).await;
        assert!(!doors.knows(browser.path.expose(), browser.cookie.expose()), "it has not come for long");
    }
}
