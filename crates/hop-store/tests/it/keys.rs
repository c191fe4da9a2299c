//! Keys: owners, duplicates, ends, uses.

use std::net::IpAddr;

use hop_store::{
    AddKeyError, ChangeKeyError, KeyOwner, KeyUse, NewKey, RevocationSeq, Revoked, Role, StoredKey,
};

use crate::site::{Site, at, both, new_key, title};

both! {
    a_key_is_read_as_it_was_added
    a_fingerprint_finds_every_owner
    an_owner_has_a_key_once
    refusals_of_a_key
    removing_a_key_is_a_revocation
    an_earlier_end_is_a_revocation
    expired_keys_are_recorded_once
    the_last_use_is_the_latest
}

async fn a_key_is_read_as_it_was_added(site: Site) {
    let ada = site.account("ada").await;
    let key = new_key();
    let id = site.key(KeyOwner::Account(ada), &key, Some(at(50))).await;
    let wanted = StoredKey {
        id,
        owner: KeyOwner::Account(ada),
        title: title("laptop"),
        algorithm: "ssh-ed25519".to_owned(),
        blob: key.blob().to_vec(),
        fingerprint: key.fingerprint(),
        md5_fingerprint: key.md5_fingerprint(),
        created: at(0),
        expires: Some(at(50)),
        last_use: None,
    };
    assert_eq!(site.store.keys().find_by_id(id).await.unwrap(), Some(wanted.clone()));
    assert_eq!(site.store.keys().list_of_account(ada).await.unwrap(), [wanted]);
    let mut change = site.change(at(1)).await;
    change.keys().rename(id, &title("Büro \"alt\"")).await.unwrap();
    change.commit().await.unwrap();
    let renamed = site.store.keys().find_by_id(id).await.unwrap().unwrap();
    assert_eq!(renamed.title.as_str(), "Büro \"alt\"");
}

async fn a_fingerprint_finds_every_owner(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let project = site.project(ada, None).await;
    let key = new_key();
    let owners = [KeyOwner::Account(ada), KeyOwner::Account(bob), KeyOwner::Project { project, holder: ada }];
    for owner in owners {
        site.key(owner, &key, None).await;
    }
    site.key(KeyOwner::Account(ada), &new_key(), None).await;
    let found = site.store.keys().find_by_fingerprint(key.fingerprint()).await.unwrap();
    assert_eq!(found.iter().map(|k| k.owner).collect::<Vec<_>>(), owners);
    assert_eq!(site.store.keys().list_of_account(ada).await.unwrap().len(), 2);
    assert_eq!(site.store.keys().list_of_project(project).await.unwrap().len(), 1);
    assert!(site.store.keys().find_by_fingerprint(new_key().fingerprint()).await.unwrap().is_empty());
}

async fn an_owner_has_a_key_once(site: Site) {
    let ada = site.account("ada").await;
    let project = site.project(ada, None).await;
    let key = new_key();
    for owner in [KeyOwner::Account(ada), KeyOwner::Project { project, holder: ada }] {
        site.key(owner, &key, None).await;
        let id = site.key_id();
        let new = NewKey { id, owner, title: title("again"), key: &key, expires: None };
        let refused = site.change(at(1)).await.keys().add(&new).await;
        assert!(
            matches!(&refused, Err(AddKeyError::Duplicate { title }) if title.as_str() == "laptop"),
            "{refused:?}"
        );
    }
    // The schema says the same to whoever comes past this crate.
    let copy =
        "INSERT INTO public_keys SELECT 'x', account, project, holder, title, algorithm, blob, fingerprint,
                md5_fingerprint, created, expires, expiry_recorded, NULL, NULL, NULL FROM public_keys
                WHERE project IS NULL";
    assert!(site.run_raw(copy).await.is_err());
}

async fn refusals_of_a_key(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let project = site.project(ada, None).await;
    let key = new_key();
    let new = |owner| NewKey { id: site.key_id(), owner, title: title("k"), key: &key, expires: None };
    let nobody = site.account_id();
    let nowhere = site.project_id();
    let mut change = site.change(at(1)).await;
    let refused = change.keys().add(&new(KeyOwner::Account(nobody))).await;
    assert!(matches!(refused, Err(AddKeyError::NoAccount { account }) if account == nobody));
    let refused = change.keys().add(&new(KeyOwner::Project { project: nowhere, holder: ada })).await;
    assert!(matches!(refused, Err(AddKeyError::NoProject { project }) if project == nowhere));
    let refused = change.keys().add(&new(KeyOwner::Project { project, holder: bob })).await;
    assert!(matches!(refused, Err(AddKeyError::NotAMember { account }) if account == bob));
    change.members().add(project, bob, Role::Collaborator).await.unwrap();
    change.keys().add(&new(KeyOwner::Project { project, holder: bob })).await.unwrap();
    let absent = site.key_id();
    let refused = change.keys().remove(absent).await;
    assert!(matches!(refused, Err(ChangeKeyError::Absent { key }) if key == absent));
    change.commit().await.unwrap();
}

async fn removing_a_key_is_a_revocation(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let key = new_key();
    let id = site.key(KeyOwner::Account(ada), &key, None).await;
    site.key(KeyOwner::Account(bob), &key, None).await;
    let mut change = site.change(at(1)).await;
    change.keys().remove(id).await.unwrap();
    change.commit().await.unwrap();
    let found = site.store.keys().find_by_fingerprint(key.fingerprint()).await.unwrap();
    assert_eq!(found.len(), 1, "the other owner keeps it");
    assert_eq!(found[0].owner, KeyOwner::Account(bob));
    let revoked = site.store.revocations().since(RevocationSeq::START, 10).await.unwrap();
    assert_eq!(revoked.len(), 1);
    let wanted = Revoked::Key { fingerprint: key.fingerprint(), owner: KeyOwner::Account(ada) };
    assert_eq!((&revoked[0].revoked, revoked[0].at), (&wanted, at(1)));
}

async fn an_earlier_end_is_a_revocation(site: Site) {
    let ada = site.account("ada").await;
    let key = new_key();
    let id = site.key(KeyOwner::Account(ada), &key, None).await;
    let cases = [(Some(at(50)), 1), (Some(at(60)), 1), (Some(at(60)), 1), (Some(at(40)), 2), (None, 2)];
    for (expires, revocations) in cases {
        let mut change = site.change(at(1)).await;
        change.keys().set_expiry(id, expires).await.unwrap();
        change.commit().await.unwrap();
        assert_eq!(site.store.keys().find_by_id(id).await.unwrap().unwrap().expires, expires);
        let revoked = site.store.revocations().since(RevocationSeq::START, 10).await.unwrap();
        assert_eq!(revoked.len(), revocations, "{expires:?}");
        let wanted = Revoked::Expiry { fingerprint: key.fingerprint(), owner: KeyOwner::Account(ada) };
        assert!(revoked.iter().all(|r| r.revoked == wanted));
    }
}

async fn expired_keys_are_recorded_once(site: Site) {
    let ada = site.account("ada").await;
    let key = new_key();
    let id = site.key(KeyOwner::Account(ada), &key, Some(at(10))).await;
    site.key(KeyOwner::Account(ada), &new_key(), Some(at(20))).await;
    site.key(KeyOwner::Account(ada), &new_key(), None).await;
    for (now, wanted) in [(at(9), 0), (at(10), 1), (at(11), 0), (at(25), 1), (at(26), 0)] {
        let mut change = site.change(now).await;
        assert_eq!(change.keys().record_expired().await.unwrap(), wanted, "{now:?}");
        change.commit().await.unwrap();
    }
    let revoked = site.store.revocations().since(RevocationSeq::START, 10).await.unwrap();
    assert_eq!(revoked.len(), 2);
    let wanted = Revoked::Expiry { fingerprint: key.fingerprint(), owner: KeyOwner::Account(ada) };
    assert_eq!(revoked[0].revoked, wanted);
    // A key that gets a new end expires anew.
    let mut change = site.change(at(30)).await;
    change.keys().set_expiry(id, Some(at(40))).await.unwrap();
    change.commit().await.unwrap();
    let mut change = site.change(at(41)).await;
    assert_eq!(change.keys().record_expired().await.unwrap(), 1);
    change.commit().await.unwrap();
}

async fn the_last_use_is_the_latest(site: Site) {
    let ada = site.account("ada").await;
    let project = site.project(ada, None).await;
    let id = site.key(KeyOwner::Account(ada), &new_key(), None).await;
    let address: IpAddr = "2001:db8::7".parse().unwrap();
    let later = KeyUse { at: at(9), address, project: Some(project) };
    let earlier = KeyUse { at: at(8), address: "192.0.2.1".parse().unwrap(), project: None };
    for usage in [later, earlier] {
        site.store.keys().record_use(id, usage).await.unwrap();
    }
    assert_eq!(site.store.keys().find_by_id(id).await.unwrap().unwrap().last_use, Some(later));
}
