//! A keeper on a socket in a private folder, asked as a site asks it; and the walls around projects, attacked
//! from inside.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attacks;
mod doors;
mod life;
mod proxied;
mod requests;
mod site;
