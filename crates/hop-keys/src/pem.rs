//! PEM armour (RFC 7468) of private key files.

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

use crate::private_key::PrivateKeyError;

/// The contents of a private key file, by its label.
pub(crate) enum Pem {
    /// OpenSSH PROTOCOL.key.
    OpenSsh(Zeroizing<Vec<u8>>),
    /// RSA, RFC 8017 appendix A.1.2.
    Pkcs1(Zeroizing<Vec<u8>>),
    /// RFC 5208.
    Pkcs8(Zeroizing<Vec<u8>>),
}

/// Reads the first armoured block of `text`; text around it is ignored.
pub(crate) fn decode(text: &str) -> Result<Pem, PrivateKeyError> {
    let form = |reason| PrivateKeyError::Form { reason };
    let (_, text) = text.split_once("-----BEGIN ").ok_or_else(|| form("there is no BEGIN line in it"))?;
    let (label, text) = text.split_once("-----").ok_or_else(|| form("its BEGIN line is broken"))?;
    let kind: fn(Zeroizing<Vec<u8>>) -> Pem = match label {
        "OPENSSH PRIVATE KEY" => Pem::OpenSsh,
        "RSA PRIVATE KEY" => Pem::Pkcs1,
        "PRIVATE KEY" => Pem::Pkcs8,
        "EC PRIVATE KEY" => return Err(PrivateKeyError::Legacy { form: "SEC 1 (EC) PEM" }),
        "DSA PRIVATE KEY" => return Err(form("DSA keys are refused everywhere today")),
        "ENCRYPTED PRIVATE KEY" => return Err(PrivateKeyError::Legacy { form: "encrypted PKCS #8" }),
        "SSH2 ENCRYPTED PRIVATE KEY" => return Err(form("it is in the format of ssh.com")),
        _ => return Err(form("it holds something else")),
    };
    let (body, _) = text.split_once("-----END ").ok_or_else(|| form("its END line is missing"))?;
    if body.contains("Proc-Type:") {
        return Err(PrivateKeyError::Legacy { form: "encrypted PEM" });
    }
    let mut compact = Zeroizing::new(String::with_capacity(body.len()));
    compact.extend(body.chars().filter(|letter| !letter.is_ascii_whitespace()));
    let bytes = Base64::decode_vec(&compact).map_err(|_| form("its base64 is broken"))?;
    Ok(kind(Zeroizing::new(bytes)))
}

/// Armours OpenSSH's private key structure, with lines of 70 characters as ssh-keygen writes them.
pub(crate) fn encode_openssh(bytes: &[u8]) -> Zeroizing<String> {
    const LINE: usize = 70;
    let encoded = Zeroizing::new(Base64::encode_string(bytes));
    let mut text = Zeroizing::new(String::with_capacity(encoded.len() + encoded.len() / LINE + 80));
    text.push_str("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    text
}
