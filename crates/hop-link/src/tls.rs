//! Which certificates a client trusts.

use std::sync::Arc;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Trusted certificates, ready to use.
#[derive(Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
}

/// Why there is nobody to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The machine has none, and none was given.
    #[error(
        "this machine has no trusted certificates\nhint: install the package ca-certificates, or give --ca-file"
    )]
    NoRoots,
    /// A given text has none.
    #[error("the file of CA certificates holds no PEM certificate")]
    NoCertificate,
    /// A given text is broken.
    #[error("the file of CA certificates cannot be read: {0}")]
    Pem(#[source] pem::Error),
    /// The library refuses a certificate.
    #[error("the CA certificate cannot be used: {0}")]
    Refused(#[from] rustls::Error),
}

impl Trust {
    /// The certificates that the machine's owner trusts, and those in a PEM text, if there is one.
    ///
    /// # Errors
    /// When there is none, or the text has none.
    pub fn system(more: Option<&[u8]>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let _ignored = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(text) = more {
            let before = roots.len();
            for certificate in CertificateDer::pem_slice_iter(text) {
                roots.add(certificate.map_err(TrustError::Pem)?)?;
            }
            if roots.len() == before {
                return Err(TrustError::NoCertificate);
            }
        }
        if roots.is_empty() {
            return Err(TrustError::NoRoots);
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A front end that prefers HTTP/2 must not: there a WebSocket is asked for in another way (RFC 8441).
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_hold_no_certificate() {
        assert!(matches!(Trust::system(Some(b"")), Err(TrustError::NoCertificate)));
        let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert!(matches!(Trust::system(Some(broken)), Err(TrustError::Pem(_))));
        let not_one = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(Trust::system(Some(not_one)), Err(TrustError::Refused(_))));
    }
}
