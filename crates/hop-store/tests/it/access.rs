//! What a gateway is told at the door, for those who may enter and for all who may not.

use hop_keys::{Fingerprint, PublicKey};
use hop_store::{AccountId, AccountState, KeyAccess, KeyOwner, KeyStanding, ProjectId, ProjectState, Role};

use crate::site::{Site, alias, at, both, new_key};

both! {
    the_facts_about_a_key
    owners_who_may_enter_come_first
    the_facts_about_an_account
    facts_carry_the_revocation_number
}

/// What the gateway will make of it: the accounts that it would let in.
fn admitted(access: &KeyAccess, now: hop_store::Timestamp) -> Vec<AccountId> {
    let Some(project) = access.project.as_ref().filter(|p| p.state == ProjectState::Active) else {
        return Vec::new();
    };
    let opens = |key: &&KeyStanding| {
        key.account.state == AccountState::Active
            && key.account.role.is_some()
            && key.owner.project().is_none_or(|of| of == project.id)
            && key.expires.is_none_or(|end| now < end)
    };
    access.owners.iter().filter(opens).map(|key| key.account.id).collect()
}

async fn by_key(site: &Site, project: &str, fingerprint: Fingerprint) -> KeyAccess {
    site.store.access().by_key(project, fingerprint, at(10)).await.unwrap()
}

/// Ada and Bob are members of "climate", Eve of "weather" only.
struct Village {
    ada: AccountId,
    bob: AccountId,
    eve: AccountId,
    climate: ProjectId,
    weather: ProjectId,
}

async fn village(site: &Site) -> Village {
    let (ada, bob, eve) = (site.account("ada").await, site.account("bob").await, site.account("eve").await);
    let climate = site.project(ada, Some(alias("climate"))).await;
    let weather = site.project(eve, Some(alias("weather"))).await;
    let mut change = site.change(at(1)).await;
    change.members().add(climate, bob, Role::Collaborator).await.unwrap();
    change.commit().await.unwrap();
    Village { ada, bob, eve, climate, weather }
}

async fn the_facts_about_a_key(site: Site) {
    let v = village(&site).await;
    let keys: Vec<PublicKey> = (0..5).map(|_| new_key()).collect();
    let [of_ada, of_eve, expired, of_climate, shared] = keys.as_slice() else { panic!() };
    site.key(KeyOwner::Account(v.ada), of_ada, None).await;
    site.key(KeyOwner::Account(v.eve), of_eve, None).await;
    site.key(KeyOwner::Account(v.ada), expired, Some(at(10))).await;
    site.key(KeyOwner::Project { project: v.climate, holder: v.bob }, of_climate, None).await;
    for owner in [v.eve, v.bob, v.ada] {
        site.key(KeyOwner::Account(owner), shared, None).await;
    }
    let unknown = new_key();
    let (id, other) = (v.climate.to_string(), v.weather.to_string());
    let cases: [(&str, &PublicKey, &[AccountId]); 12] = [
        ("climate", of_ada, &[v.ada]),
        (&id, of_ada, &[v.ada]),
        ("weather", of_ada, &[]),
        ("climate", of_eve, &[]),
        ("weather", of_eve, &[v.eve]),
        ("climate", expired, &[]),
        ("climate", of_climate, &[v.bob]),
        (&other, of_climate, &[]),
        ("climate", shared, &[v.bob, v.ada]),
        ("climate", &unknown, &[]),
        ("nowhere", of_ada, &[]),
        ("jump", &unknown, &[]),
    ];
    for (project, key, wanted) in cases {
        let access = by_key(&site, project, key.fingerprint()).await;
        assert_eq!(admitted(&access, at(10)), wanted, "{project} {key:?}");
        assert_eq!(access.project.is_some(), !["nowhere", "jump"].contains(&project), "{project}");
    }
    // What is known is told, for the log, and for the door that enters no project.
    let access = by_key(&site, "jump", shared.fingerprint()).await;
    assert_eq!(access.owners.len(), 3);
    assert!(access.owners.iter().all(|key| key.account.role.is_none()));
    let access = by_key(&site, "climate", of_climate.fingerprint()).await;
    assert_eq!(access.owners[0].owner, KeyOwner::Project { project: v.climate, holder: v.bob });
    assert_eq!(access.owners[0].account.role, Some(Role::Collaborator));

    // Taking away, one thing at a time.
    let mut change = site.change(at(2)).await;
    change.accounts().suspend(v.bob).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(admitted(&by_key(&site, "climate", shared.fingerprint()).await, at(10)), [v.ada]);
    assert!(admitted(&by_key(&site, "climate", of_climate.fingerprint()).await, at(10)).is_empty());
    let mut change = site.change(at(3)).await;
    change.projects().suspend(v.climate).await.unwrap();
    change.commit().await.unwrap();
    let access = by_key(&site, "climate", of_ada.fingerprint()).await;
    assert_eq!(access.project.as_ref().map(|p| p.state), Some(ProjectState::Suspended));
    assert!(admitted(&access, at(10)).is_empty());
    let mut change = site.change(at(4)).await;
    change.projects().remove(v.climate).await.unwrap();
    change.commit().await.unwrap();
    for name in ["climate", &id] {
        assert_eq!(by_key(&site, name, of_ada.fingerprint()).await.project, None, "{name}");
    }
}

async fn owners_who_may_enter_come_first(site: Site) {
    let v = village(&site).await;
    let key = new_key();
    // Forty strangers registered the key before its owner.
    for number in 0..40 {
        let stranger = site.account(&format!("s{number}")).await;
        site.key(KeyOwner::Account(stranger), &key, None).await;
    }
    site.key(KeyOwner::Account(v.bob), &key, None).await;
    site.key(KeyOwner::Account(v.ada), &key, Some(at(9))).await;
    let access = by_key(&site, "climate", key.fingerprint()).await;
    assert_eq!(access.owners.len(), 32);
    assert_eq!(admitted(&access, at(10)), [v.bob]);
    assert_eq!(access.owners[0].account.id, v.bob);
}

async fn the_facts_about_an_account(site: Site) {
    let v = village(&site).await;
    let nobody = site.account_id();
    let cases = [
        ("climate", v.ada, true, Some(Some(Role::Owner))),
        ("climate", v.bob, true, Some(Some(Role::Collaborator))),
        ("climate", v.eve, true, Some(None)),
        ("nowhere", v.ada, false, Some(None)),
        ("climate", nobody, true, None),
        ("nowhere", nobody, false, None),
    ];
    for (project, account, project_known, role) in cases {
        let access = site.store.access().by_account(project, account).await.unwrap();
        assert_eq!(access.project.is_some(), project_known, "{project} {account}");
        assert_eq!(access.account.as_ref().map(|a| a.role), role, "{project} {account}");
        assert!(access.account.is_none_or(|a| a.id == account && a.state == AccountState::Active));
    }
    let mut change = site.change(at(2)).await;
    change.accounts().suspend(v.ada).await.unwrap();
    change.commit().await.unwrap();
    let access = site.store.access().by_account("climate", v.ada).await.unwrap();
    assert_eq!(access.account.map(|a| a.state), Some(AccountState::Suspended));
}

async fn facts_carry_the_revocation_number(site: Site) {
    let v = village(&site).await;
    let key = new_key();
    let id = site.key(KeyOwner::Account(v.ada), &key, None).await;
    let before = by_key(&site, "climate", key.fingerprint()).await.as_of;
    assert_eq!(before, site.store.revocations().last_seq().await.unwrap());
    let mut change = site.change(at(2)).await;
    change.keys().remove(id).await.unwrap();
    change.commit().await.unwrap();
    for (project, fingerprint) in [("climate", key.fingerprint()), ("nowhere", new_key().fingerprint())] {
        let after = by_key(&site, project, fingerprint).await.as_of;
        assert!(after > before && after == site.store.revocations().last_seq().await.unwrap());
    }
    let access = site.store.access().by_account("nowhere", v.ada).await.unwrap();
    assert!(access.as_of > before);
}
