//! Text that must not be shown.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A password, a passphrase, a token, a one-time code or the seed of such codes. Overwritten when it is dropped, never
/// printed; searching for `expose` finds all who look at one. It is serialized only on its way to the process or into
/// the sealed file that needs it.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for whoever must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn debugging_shows_nothing() {
        assert_eq!(format!("{:?}", super::Secret::new("123456".to_owned())), "Secret(…)");
    }
}
