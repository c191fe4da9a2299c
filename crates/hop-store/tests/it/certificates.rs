//! Certificates on record: found by number, listed while they count, revoked once.

use hop_store::{NewCertificate, Revoked};

use crate::site::{Site, at, both, new_key};

both! {
    a_certificate_is_on_record_until_it_is_revoked
    a_number_is_given_once
}

async fn a_certificate_is_on_record_until_it_is_revoked(site: Site) {
    let ada = site.account("ada").await;
    // Larger than a signed integer of 64 bits.
    let new = NewCertificate {
        serial: u64::MAX,
        account: ada,
        fingerprint: new_key().fingerprint(),
        expires: at(100),
    };
    let mut change = site.change(at(0)).await;
    change.certificates().add(&new).await.unwrap();
    change.commit().await.unwrap();

    let certificates = site.store.certificates();
    let found = certificates.find_by_serial(u64::MAX).await.unwrap().unwrap();
    assert_eq!((found.account, found.fingerprint, found.revoked), (ada, new.fingerprint, None));
    assert_eq!(certificates.find_by_serial(7).await.unwrap(), None);
    assert_eq!(certificates.list_of_account(ada, at(99)).await.unwrap(), [found]);
    assert_eq!(certificates.list_of_account(ada, at(100)).await.unwrap(), []);

    let before = site.store.revocations().last_seq().await.unwrap();
    let mut feed = site.store.revocations().follow(before).await.unwrap();
    let mut change = site.change(at(1)).await;
    assert!(change.certificates().revoke(u64::MAX).await.unwrap());
    assert!(!change.certificates().revoke(u64::MAX).await.unwrap(), "twice");
    assert!(!change.certificates().revoke(7).await.unwrap(), "never issued");
    change.commit().await.unwrap();
    let heard: Vec<_> = feed.next().await.unwrap().into_iter().map(|row| row.revoked).collect();
    assert_eq!(heard, [Revoked::Certificate { serial: u64::MAX }]);
    assert_eq!(certificates.find_by_serial(u64::MAX).await.unwrap().unwrap().revoked, Some(at(1)));
    assert_eq!(certificates.list_of_account(ada, at(2)).await.unwrap(), []);
}

async fn a_number_is_given_once(site: Site) {
    let ada = site.account("ada").await;
    let new =
        NewCertificate { serial: 1, account: ada, fingerprint: new_key().fingerprint(), expires: at(100) };
    let mut change = site.change(at(0)).await;
    change.certificates().add(&new).await.unwrap();
    assert!(change.certificates().add(&new).await.is_err());
    assert!(change.commit().await.is_err(), "half a change is none");
}
