//! What an endpoint asks the gateway about a client whose SSH connection ends in the endpoint itself
//! (`ssh -J jump@gateway PROJECT@PROJECT`), and what it is answered.
//!
//! The gateway connects to the endpoint's socket, begins with [`PIPE_GREETING`] and passes a descriptor along with it:
//! the client's bytes. On the socket itself one JSON object a line follows. What must stay true: a line that is not
//! understood ends the connection; lines are bounded; the endpoint belongs to the tenant, so what it says is a claim.

use crate::word::Word;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The first bytes on the socket, as long as the greeting of the bare transport. The descriptor comes with them.
pub const PIPE_GREETING: &[u8; 11] = b"HOP-PIPE-1\n";

/// The longest line in bytes, its end included: a word is the longest thing in one.
pub const LONGEST_LINE: usize = 256 * 1024;

/// What a client presents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presented {
    /// The user name that it gave.
    pub user: String,
    /// Whether `blob` is a certificate or a plain key.
    pub certificate: bool,
    /// Its wire form.
    pub blob: Vec<u8>,
}

/// What a FIDO token attested with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attested {
    /// It was touched.
    pub touched: bool,
    /// It verified its user.
    pub verified: bool,
}

/// The endpoint's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Inquiry {
    /// Would this key do?
    Probe(Presented),
    /// The client has proved this key: what may it do?
    Login {
        /// The key.
        presented: Presented,
        /// What its token said; `None` for a key that is on none.
        attested: Option<Attested>,
        /// The client's identification line.
        client_identification: String,
    },
}

/// What the gateway says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Answer {
    /// The key would do.
    Encourage,
    /// It does not.
    Refuse,
    /// The client is let in, to this.
    Word(Box<Word>),
    /// The session is over; the client is told these words. May come at any time.
    End(String),
}

/// A line that is not understood.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is not of the form that this version knows.
    #[error("a line between gateway and endpoint is not understood: {0}")]
    Form(#[from] serde_json::Error),
    /// It is too long.
    #[error("a line between gateway and endpoint is longer than {LONGEST_LINE} bytes")]
    Length,
}

/// The form on the wire, its end included.
pub fn encode_line(message: &impl Serialize) -> Result<Vec<u8>, LineError> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    if line.len() > LONGEST_LINE { Err(LineError::Length) } else { Ok(line) }
}

/// Reads a line, with its end or without.
pub fn decode_line<T: DeserializeOwned>(line: &[u8]) -> Result<T, LineError> {
    if line.len() > LONGEST_LINE {
        return Err(LineError::Length);
    }
    Ok(serde_json::from_slice(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Permissions;
    use proptest::prelude::*;

    fn presented() -> Presented {
        Presented { user: "climate".to_owned(), certificate: false, blob: vec![0, 255, 10] }
    }

    #[test]
    fn lines_read_as_they_were_written() {
        let login = Inquiry::Login {
            presented: presented(),
            attested: Some(Attested { touched: true, verified: false }),
            client_identification: "SSH-2.0-x\ny".to_owned(),
        };
        for inquiry in [Inquiry::Probe(presented()), login] {
            let line = encode_line(&inquiry).unwrap();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(decode_line::<Inquiry>(&line).unwrap(), inquiry);
        }
        let at = "127.0.0.1:1".parse().unwrap();
        let word = Word::new("s", "p", at, at, Permissions::none());
        for answer in
            [Answer::Encourage, Answer::Refuse, Answer::Word(Box::new(word)), Answer::End("x".to_owned())]
        {
            assert_eq!(decode_line::<Answer>(&encode_line(&answer).unwrap()).unwrap(), answer);
        }
    }

    proptest! {
        /// Neither what is no JSON at all nor what is nearly a line.
        #[test]
        fn nothing_makes_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in "[\\[\\]{}\",:0-9a-z]{0,80}",
            user in any::<String>(), blob in proptest::collection::vec(any::<u16>(), 0..20), cut in 0_usize..200,
        ) {
            let near = serde_json::json!({ "probe": { "user": user, "certificate": false, "blob": blob } }).to_string();
            let cut = near.as_bytes().get(..cut).unwrap_or(near.as_bytes());
            for line in [bytes.as_slice(), text.as_bytes(), near.as_bytes(), cut] {
                if let Ok(inquiry) = decode_line::<Inquiry>(line) {
                    prop_assert_eq!(decode_line::<Inquiry>(&encode_line(&inquiry).unwrap()).unwrap(), inquiry);
                }
                let _ = decode_line::<Answer>(line);
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for line in [&b""[..], b"{}", b"\"encourage\" \"refuse\"", b"{\"word\":{}}", b"\"allow\"", b"[[[[[[["]
        {
            assert!(decode_line::<Answer>(line).is_err());
        }
        let odd = b"{\"probe\":{\"user\":\"a\",\"certificate\":false,\"blob\":[],\"root\":true}}";
        assert!(decode_line::<Inquiry>(odd).is_err());
        assert!(matches!(
            decode_line::<Answer>(&vec![b' '; LONGEST_LINE + 1]).unwrap_err(),
            LineError::Length
        ));
        let long = Answer::End("x".repeat(LONGEST_LINE));
        assert!(matches!(encode_line(&long).unwrap_err(), LineError::Length));
    }
}
