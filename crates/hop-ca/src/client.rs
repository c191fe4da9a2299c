//! Asking the signer.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use crate::line;
use crate::request::{Answer, IssuedCertificate, PublicKeys, Request, UserRequest};

/// Where the signer answers.
#[derive(Debug, Clone)]
pub struct SignerClient {
    socket: PathBuf,
}

/// The signer gave no certificate.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// It cannot be reached.
    #[error("the signer does not answer at {}: {source}", socket.display())]
    Unreachable {
        /// Where.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It will not.
    #[error("the signer refused: {0}")]
    Refused(String),
}

impl SignerClient {
    /// The signer that listens at `socket`.
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// The public halves of the CA keys.
    pub async fn public_keys(&self) -> Result<PublicKeys, SignerError> {
        match self.ask(&Request::PublicKeys).await? {
            Answer::PublicKeys(keys) => Ok(keys),
            Answer::Refused(why) => Err(SignerError::Refused(why)),
            Answer::Issued(_) => Err(self.unreachable(nonsense())),
        }
    }

    /// A certificate for a person. The caller has stored its serial.
    pub async fn sign_user(&self, request: UserRequest) -> Result<IssuedCertificate, SignerError> {
        match self.ask(&Request::SignUser(request)).await? {
            Answer::Issued(issued) => Ok(issued),
            Answer::Refused(why) => Err(SignerError::Refused(why)),
            Answer::PublicKeys(_) => Err(self.unreachable(nonsense())),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Answer, SignerError> {
        let asked = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            line::write(&mut stream, request).await?;
            line::read(&mut stream).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        };
        asked.await.map_err(|source| self.unreachable(source))
    }

    fn unreachable(&self, source: io::Error) -> SignerError {
        SignerError::Unreachable { socket: self.socket.clone(), source }
    }
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it answered something else than was asked")
}
