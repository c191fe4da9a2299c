//! The site's records, opened as the settings say; with the clock and the chance that operations take.

use super::settings::Settings;
use crate::error::{CommandError, ErrorKind};
use hop_portal::operations::{Operations, PasswordCost, Passwords, Random, Rules};
use hop_store::{Location, Preparation, Store, Timestamp};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Opens the records.
pub(crate) async fn open(settings: &Settings, preparation: Preparation) -> Result<Store, CommandError> {
    let location = match &settings.store {
        Some(url) => Location::parse(url),
        None => Location::Sqlite { path: settings.data.join("site/site.sqlite") },
    };
    Store::open(&location, preparation, now()).await.map_err(|error| {
        let failed =
            CommandError::new(ErrorKind::Unavailable, format!("cannot open the site's records: {error}"));
        match error.hint() {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    })
}

/// What people and `hop admin` do with them; `sandbox` says whether projects are kept apart.
pub(crate) fn operations(store: Store, sandbox: bool) -> Operations {
    let random: Random = Arc::new(fill);
    let passwords = Passwords::new(PasswordCost::default(), &random);
    Operations::new(store, Arc::new(now), random, Rules { sandbox, ..Rules::default() }, passwords)
}

/// The time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Ten bytes of an id.
pub(crate) fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    fill(&mut bytes);
    bytes
}

/// The kernel's randomness, which nobody can guess.
fn fill(bytes: &mut [u8]) {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // It fails only when interrupted, or before the kernel has any: then it is asked again.
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    }
}
