//! The server's side of user authentication for a client that is known by other means: it came by a pipe of its own user.
//!
//! Must stay true: every method is answered with success, so whoever uses this has made sure of the client before; the
//! service is ssh-connection or the connection ends.

use super::{CONNECTION_SERVICE, USERAUTH_SERVICE};
use crate::error::{Error, InMessage};
use crate::message::{self, DisconnectReason};
use crate::wire::{Put, Reader};

/// One authentication that asks for nothing (RFC 4252 section 5.2: the server may accept "none").
#[derive(Debug, Default)]
pub struct KnownClient {
    service_accepted: bool,
}

/// What to do after a message.
#[derive(Debug, PartialEq, Eq)]
pub enum KnownStep {
    /// Send this.
    Reply(Vec<u8>),
    /// Send this; the client is in.
    Admitted(Vec<u8>),
}

impl KnownClient {
    /// Takes a message of the client.
    ///
    /// # Errors
    /// When it is no message of an authentication for ssh-connection.
    pub fn on_message(&mut self, payload: &[u8]) -> Result<KnownStep, Error> {
        let number = payload.first().copied().unwrap_or_default();
        let mut reader = Reader::new(payload.get(1..).unwrap_or_default());
        match number {
            message::SERVICE_REQUEST => {
                let service = reader.string().in_message(number)?;
                if service != USERAUTH_SERVICE {
                    return Err(not_available("only ssh-userauth can be requested before authentication"));
                }
                self.service_accepted = true;
                let mut reply = vec![message::SERVICE_ACCEPT];
                reply.put_string(service);
                Ok(KnownStep::Reply(reply))
            }
            message::USERAUTH_REQUEST if self.service_accepted => {
                let mut read = || {
                    reader.string()?;
                    reader.string()
                };
                if read().in_message(number)? != CONNECTION_SERVICE {
                    return Err(not_available("only ssh-connection is served"));
                }
                Ok(KnownStep::Admitted(vec![message::USERAUTH_SUCCESS]))
            }
            number => Err(Error::UnexpectedMessage { number, state: "authenticate the user" }),
        }
    }
}

fn not_available(description: &str) -> Error {
    Error::Disconnecting {
        reason: DisconnectReason::ServiceNotAvailable,
        description: description.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: u8, strings: &[&str]) -> Vec<u8> {
        let mut payload = vec![number];
        strings.iter().for_each(|text| payload.put_string(text));
        payload
    }

    #[test]
    fn in_at_the_first_request() {
        let mut client = KnownClient::default();
        let login = request(message::USERAUTH_REQUEST, &["alice", "ssh-connection", "none"]);
        assert!(client.on_message(&login).is_err(), "the service comes first");
        let service = request(message::SERVICE_REQUEST, &["ssh-userauth"]);
        let accepted = request(message::SERVICE_ACCEPT, &["ssh-userauth"]);
        assert_eq!(client.on_message(&service).unwrap(), KnownStep::Reply(accepted));
        let success = KnownStep::Admitted(vec![message::USERAUTH_SUCCESS]);
        assert_eq!(client.on_message(&login).unwrap(), success);
    }

    #[test]
    fn for_nothing_else() {
        for wrong in [
            request(message::SERVICE_REQUEST, &["ssh-connection"]),
            request(message::USERAUTH_REQUEST, &["alice", "ssh-userauth", "none"]),
            request(message::USERAUTH_REQUEST, &["alice"]),
            request(message::CHANNEL_OPEN, &[]),
            Vec::new(),
        ] {
            let mut client = KnownClient { service_accepted: true };
            assert!(client.on_message(&wrong).is_err(), "{wrong:?}");
        }
    }
}
