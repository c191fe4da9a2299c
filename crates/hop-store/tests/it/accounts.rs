//! Accounts: names, the last admin, suspension and what goes with it.

use hop_store::{
    AccountState, Actor, AddAccountError, ChangeAccountError, NewAccount, NewInvitation, NewSignInLink,
    NewWebSession, PasswordHash, Revoked,
};
use std::time::Duration;

use crate::site::{Site, at, both, name};

both! {
    an_account_is_found_by_id_and_name
    a_name_is_taken_once
    accounts_are_listed_by_name_in_pages
    the_last_admin_stays
    suspension_takes_everything
    a_password_hash_is_kept_apart
    a_change_that_is_dropped_changes_nothing
}

async fn an_account_is_found_by_id_and_name(site: Site) {
    let id = site.account("ada").await;
    let account = site.store.accounts().find_by_id(id).await.unwrap().unwrap();
    assert_eq!(account.name, name("ada"));
    assert_eq!((account.state, account.admin, account.created), (AccountState::Active, false, at(0)));
    assert_eq!(site.store.accounts().find_by_name(&name("ada")).await.unwrap(), Some(account));
    assert_eq!(site.store.accounts().find_by_name(&name("bob")).await.unwrap(), None);
    assert_eq!(site.store.accounts().find_by_id(site.account_id()).await.unwrap(), None);
}

async fn a_name_is_taken_once(site: Site) {
    site.account("ada").await;
    let new = NewAccount { id: site.account_id(), name: name("ada"), admin: false };
    let mut change = site.change(at(1)).await;
    let refused = change.accounts().add(&new).await.unwrap_err();
    assert!(matches!(refused, AddAccountError::NameTaken { .. }), "{refused:?}");
    // A refusal changed nothing, and the change goes on.
    change.accounts().add(&NewAccount { name: name("ada2"), ..new }).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(site.store.accounts().count().await.unwrap(), 2);
}

async fn accounts_are_listed_by_name_in_pages(site: Site) {
    // By bytes: a locale would put "a-z" and "a_b" between the others.
    for text in ["b", "a_b", "a-z", "ab", "a.z", "aa"] {
        site.account(text).await;
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = site.store.accounts().list(after.as_ref(), 4).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        seen.extend(page.into_iter().map(|account| account.name.to_string()));
    }
    assert_eq!(seen, ["a-z", "a.z", "a_b", "aa", "ab", "b"]);
}

async fn the_last_admin_stays(site: Site) {
    let (first, second) = (site.account("ada").await, site.account("bob").await);
    let mut change = site.change(at(1)).await;
    change.accounts().set_admin(first, true).await.unwrap();
    for refused in [change.accounts().set_admin(first, false).await, change.accounts().suspend(first).await] {
        assert!(matches!(refused, Err(ChangeAccountError::LastAdmin { .. })), "{refused:?}");
    }
    change.accounts().set_admin(second, true).await.unwrap();
    change.accounts().suspend(second).await.unwrap();
    // A suspended admin does not count.
    let refused = change.accounts().suspend(first).await;
    assert!(matches!(refused, Err(ChangeAccountError::LastAdmin { .. })), "{refused:?}");
    change.accounts().activate(second).await.unwrap();
    change.accounts().suspend(first).await.unwrap();
    change.commit().await.unwrap();
    let absent = site.account_id();
    let refused = site.change(at(2)).await.accounts().suspend(absent).await;
    assert!(matches!(refused, Err(ChangeAccountError::Absent { account }) if account == absent));
}

async fn suspension_takes_everything(site: Site) {
    let id = site.account("ada").await;
    let (cookie, link, invitation) = (site.token(), site.token(), site.token());
    let mut change = site.store.change(Actor { account: Some(id), ..Actor::site() }, at(1)).await.unwrap();
    let session = NewWebSession {
        id: site.web_session_id(),
        token: cookie.hash(),
        account: id,
        idle: Duration::from_secs(100),
        expires: at(100),
        address: None,
        user_agent: String::new(),
    };
    change.web_sessions().add(&session).await.unwrap();
    let new = NewSignInLink { id: site.link_id(), token: link.hash(), account: id, expires: at(100) };
    change.sign_in_links().add(&new).await.unwrap();
    let new = NewInvitation {
        id: site.invitation_id(),
        token: invitation.hash(),
        membership: None,
        expires: at(100),
    };
    change.invitations().add(&new).await.unwrap();
    change.commit().await.unwrap();
    assert!(site.store.web_sessions().find_by_token(cookie.hash(), at(2)).await.unwrap().is_some());
    assert!(site.store.sign_in_links().find_account(link.hash(), at(2)).await.unwrap().is_some());
    assert!(site.store.invitations().find_by_token(invitation.hash(), at(2)).await.unwrap().is_some());

    let mut change = site.change(at(2)).await;
    change.accounts().suspend(id).await.unwrap();
    // Again is nothing.
    change.accounts().suspend(id).await.unwrap();
    change.commit().await.unwrap();
    let seq = hop_store::RevocationSeq::START;
    let revoked = site.store.revocations().since(seq, 10).await.unwrap();
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0].revoked, Revoked::Account { account: id });

    // Activation brings none of it back.
    let mut change = site.change(at(3)).await;
    change.accounts().activate(id).await.unwrap();
    change.commit().await.unwrap();
    assert!(site.store.web_sessions().find_by_token(cookie.hash(), at(4)).await.unwrap().is_none());
    assert!(site.store.sign_in_links().find_account(link.hash(), at(4)).await.unwrap().is_none());
    assert!(site.store.invitations().find_by_token(invitation.hash(), at(4)).await.unwrap().is_none());
}

async fn a_password_hash_is_kept_apart(site: Site) {
    let id = site.account("ada").await;
    let hash = PasswordHash::new("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned());
    assert_eq!(site.store.accounts().find_password_hash(id).await.unwrap(), None);
    let mut change = site.change(at(1)).await;
    change.accounts().set_password(id, Some(&hash)).await.unwrap();
    change.commit().await.unwrap();
    let found = site.store.accounts().find_password_hash(id).await.unwrap().unwrap();
    assert_eq!(found.expose_secret(), hash.expose_secret());
    assert_eq!(format!("{found:?}"), "PasswordHash");
    let trail = site.store.audit().list(hop_store::AuditFilter::All, None, 10).await.unwrap();
    assert!(!format!("{trail:?}").contains("argon2"), "no hash in the audit trail");

    let mut change = site.change(at(2)).await;
    change.accounts().suspend(id).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(site.store.accounts().find_password_hash(id).await.unwrap(), None, "suspended");
    let mut change = site.change(at(3)).await;
    change.accounts().activate(id).await.unwrap();
    change.accounts().set_password(id, None).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(site.store.accounts().find_password_hash(id).await.unwrap(), None, "removed");
}

async fn a_change_that_is_dropped_changes_nothing(site: Site) {
    let mut change = site.change(at(1)).await;
    let new = NewAccount { id: site.account_id(), name: name("ada"), admin: true };
    change.accounts().add(&new).await.unwrap();
    drop(change);
    assert_eq!(site.store.accounts().count().await.unwrap(), 0);
    assert!(site.store.audit().list(hop_store::AuditFilter::All, None, 10).await.unwrap().is_empty());

    // A statement that fails loses the whole change, and commit says so.
    let mut change = site.change(at(2)).await;
    change.accounts().add(&new).await.unwrap();
    let again = NewAccount { name: name("bob"), ..new.clone() };
    let failed = change.accounts().add(&again).await.unwrap_err();
    assert!(matches!(failed, AddAccountError::Store(_)), "{failed:?}");
    assert!(matches!(change.commit().await, Err(hop_store::StoreError::Broken)));
    assert_eq!(site.store.accounts().count().await.unwrap(), 0);
}
