//! Certificates: who has them issued, revoked and shown; what was not signed does not count.

use std::path::Path;
use std::time::Duration;

use hop_ca::{Authority, Permits, Rules, Signer, SignerClient, SignerError};
use hop_portal::operations::{CertificateError, CertificateWish, Denied, ErrorKind};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::site::{Site, new_key, operator, visitor};

/// A signer in a folder.
fn signer(folder: &Path) -> SignerClient {
    let socket = folder.join("signer.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let keys = folder.join("keys");
    std::fs::create_dir(&keys).unwrap();
    std::fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(folder).unwrap());
    let signer = Signer::new(Authority::keep(&keys).unwrap(), Rules::default(), vec![own]);
    tokio::spawn(async move { signer.serve(listener, CancellationToken::new()).await });
    SignerClient::at(&socket)
}

fn wish(hours: u64) -> CertificateWish {
    CertificateWish {
        key: new_key(),
        lifetime: Duration::from_secs(hours * 3600),
        force_command: None,
        source_address: None,
        permits: Permits::default(),
    }
}

#[tokio::test]
async fn a_certificate_is_issued_by_admins_and_revoked_by_its_account() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path());
    let (ada, as_ada) = site.account("ada").await;
    let (_, as_bob) = site.account("bob").await;
    let (_, as_admin) = site.admin("root-of-all").await;
    let operations = &site.operations;
    for (caller, denied) in [(&as_ada, Denied::NotAdmin), (&visitor(), Denied::NotSignedIn)] {
        let refused = operations.issue_certificate(caller, &signer, ada, wish(1)).await;
        assert!(matches!(refused, Err(CertificateError::Denied(found)) if found == denied), "{refused:?}");
    }
    assert!(operations.account_certificates(&operator(), ada).await.unwrap().is_empty());
    let issued = operations.issue_certificate(&as_admin, &signer, ada, wish(1)).await.unwrap();
    assert!(issued.certificate.starts_with("ssh-ed25519-cert-v01@openssh.com "));
    let listed = operations.account_certificates(&as_ada, ada).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.serial).collect::<Vec<_>>(), [issued.serial]);
    assert!(operations.account_certificates(&as_bob, ada).await.is_err());

    // Somebody else's is as if it were not there.
    for (caller, serial) in [(&as_bob, issued.serial), (&as_ada, 7), (&as_admin, 7)] {
        let error = operations.revoke_certificate(caller, serial).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Absent, "{error}");
        assert_eq!(error.to_string(), format!("there is no certificate {serial} that still counts"));
    }
    assert_eq!(operations.revoke_certificate(&as_ada, issued.serial).await.unwrap().account, ada);
    assert!(operations.revoke_certificate(&as_ada, issued.serial).await.is_err(), "it was revoked already");
    assert!(operations.account_certificates(&as_ada, ada).await.unwrap().is_empty());
    let actions = site.actions().await;
    assert_eq!(actions[..2], ["certificate.revoke", "certificate.add"]);
}

#[tokio::test]
async fn what_was_not_signed_does_not_count() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let real = signer(folder.path());
    let (ada, as_ada) = site.account("ada").await;
    let operations = &site.operations;
    let nowhere = SignerClient::at(&folder.path().join("nobody.sock"));
    let error = operations.issue_certificate(&operator(), &nowhere, ada, wish(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Temporary, "{error}");
    // The signer's rules want some life in it.
    let error = operations.issue_certificate(&operator(), &real, ada, wish(0)).await.unwrap_err();
    assert!(matches!(error, CertificateError::Signer(SignerError::Refused(_))), "{error:?}");
    assert!(operations.account_certificates(&as_ada, ada).await.unwrap().is_empty());

    operations.suspend_account(&operator(), ada).await.unwrap();
    let error = operations.issue_certificate(&operator(), &real, ada, wish(1)).await.unwrap_err();
    assert!(matches!(error, CertificateError::Suspended { .. }), "{error:?}");
}
