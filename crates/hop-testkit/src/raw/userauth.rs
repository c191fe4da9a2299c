//! Messages of user authentication (RFC 4252), made by hand: with the right parts, or with wrong ones.
#![expect(clippy::panic, reason = "a peer that cannot do its part ends the test, as an assertion does")]

use hop_keys::{PrivateKey, SignatureAlgorithm};
use hop_ssh::message;
use hop_ssh::wire::{Put, Reader};

/// Asks for user authentication.
pub fn service_request() -> Vec<u8> {
    let mut message = vec![message::SERVICE_REQUEST];
    message.put_string("ssh-userauth");
    message
}

/// A request by a method that needs nothing more.
pub fn request(user: &str, method: &str) -> Vec<u8> {
    let mut message = vec![message::USERAUTH_REQUEST];
    message.put_string(user);
    message.put_string("ssh-connection");
    message.put_string(method);
    message
}

/// Asks whether a key would do.
pub fn probe(user: &str, algorithm: &str, blob: &[u8]) -> Vec<u8> {
    let mut message = request(user, "publickey");
    message.put_boolean(false);
    message.put_string(algorithm);
    message.put_string(blob);
    message
}

/// What is presented and proved.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// As in `ssh-ed25519`.
    pub algorithm: &'a str,
    /// The public key or certificate.
    pub blob: &'a [u8],
    /// Signs, by Ed25519.
    pub key: &'a PrivateKey,
    /// The session identifier that is signed.
    pub session: &'a [u8],
    /// The host key that is signed, for publickey-hostbound-v00@openssh.com (OpenSSH PROTOCOL 3.1).
    pub host_key: Option<&'a [u8]>,
}

/// A request with a signature.
pub fn signed(user: &str, proof: &Proof<'_>) -> Vec<u8> {
    let method = if proof.host_key.is_some() { "publickey-hostbound-v00@openssh.com" } else { "publickey" };
    let mut message = request(user, method);
    message.put_boolean(true);
    message.put_string(proof.algorithm);
    message.put_string(proof.blob);
    if let Some(host_key) = proof.host_key {
        message.put_string(host_key);
    }
    let mut bytes = Vec::new();
    bytes.put_string(proof.session);
    bytes.put_raw(&message);
    let signature = proof.key.sign(SignatureAlgorithm::Ed25519, &bytes);
    message.put_string(signature.unwrap_or_else(|e| panic!("signing: {e}")));
    message
}

/// What SSH_MSG_USERAUTH_FAILURE says: the methods that can continue, and whether this one succeeded in part.
pub fn failure(message: &[u8]) -> Option<(String, bool)> {
    let mut reader = Reader::new(message.strip_prefix(&[message::USERAUTH_FAILURE])?);
    Some((reader.text().ok()?.to_owned(), reader.boolean().ok()?))
}
