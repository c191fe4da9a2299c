//! TLS of the portal itself.

use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::{self, ServerConfig};

/// A certificate with its key, ready to serve. Clones share it: what replaces it replaces it for all.
#[derive(Clone)]
pub struct Tls {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

/// Why a certificate and key are not taken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in the text.
    #[error("the file of the certificate holds no PEM certificate")]
    NoCertificate,
    /// A certificate's PEM is broken.
    #[error("the certificate cannot be read")]
    Certificate(#[source] pem::Error),
    /// No key, or one that cannot be read.
    #[error("the private key of the certificate cannot be read; PEM without a passphrase is expected")]
    Key(#[source] pem::Error),
    /// They do not fit, or the library knows no such key.
    #[error("the certificate and its key cannot be used")]
    Refused(#[from] rustls::Error),
}

impl Tls {
    /// From the certificate's chain and its private key, both in PEM.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(TlsError::Certificate)?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(RwLock::new(Arc::new(config))) })
    }

    /// Serves another certificate to connections that come from now on; those that are open go on.
    pub fn replace(&self, by: &Self) {
        let new = by.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}
