//! What a TEXT column may hold: types that write themselves as text and are read back only from text of their own.

use hop_keys::Fingerprint;

/// A value that is stored as text.
pub(crate) trait StoredText: Sized {
    /// The stored form.
    fn to_stored(&self) -> String;
    /// Reads the stored form; `None` for text that this program never writes.
    fn from_stored(text: &str) -> Option<Self>;
}

impl StoredText for String {
    fn to_stored(&self) -> String {
        self.clone()
    }

    fn from_stored(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl StoredText for Fingerprint {
    fn to_stored(&self) -> String {
        self.to_string()
    }

    fn from_stored(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl StoredText for std::net::IpAddr {
    fn to_stored(&self) -> String {
        self.to_string()
    }

    fn from_stored(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl StoredText for std::net::SocketAddr {
    fn to_stored(&self) -> String {
        self.to_string()
    }

    fn from_stored(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// An enum whose variants are stored as the given words.
macro_rules! stored_enum {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// The word for it in the store, in `--json` and in logs.
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads that word.
            $vis fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::stored::StoredText for $name {
            fn to_stored(&self) -> String {
                self.as_str().to_owned()
            }

            fn from_stored(text: &str) -> Option<Self> {
                Self::parse(text)
            }
        }
    };
}

pub(crate) use stored_enum;
