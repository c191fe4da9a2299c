//! Invitations and sign-in links: once, in time, and not guessed.

use hop_store::{Actor, InviteError, NewInvitation, NewSignInLink, Role, Through};

use crate::site::{Site, at, both};

both! {
    an_invitation_is_used_once
    an_invitation_ends
    an_invitation_can_be_withdrawn
    invitations_are_listed
    two_takers_of_one_invitation
    a_link_signs_in_once
    a_link_ends
}

async fn an_invitation_is_used_once(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let project = site.project(ada, None).await;
    let (token, wrong) = (site.token(), site.token());
    let id = site.invitation_id();
    let membership = Some((project, Role::Owner));
    let mut change = site.store.change(Actor::account(ada, Through::Api, None), at(1)).await.unwrap();
    change
        .invitations()
        .add(&NewInvitation { id, token: token.hash(), membership, expires: at(10) })
        .await
        .unwrap();
    let membership = Some((site.project_id(), Role::Owner));
    let new = NewInvitation { id: site.invitation_id(), token: wrong.hash(), membership, expires: at(10) };
    let refused = change.invitations().add(&new).await;
    assert!(matches!(refused, Err(InviteError::NoProject { .. })), "{refused:?}");
    change.commit().await.unwrap();

    let open = site.store.invitations().find_by_token(token.hash(), at(2)).await.unwrap().unwrap();
    assert_eq!((open.id, open.created_by, open.used), (id, Some(ada), None));
    let mut change = site.change(at(3)).await;
    assert_eq!(change.invitations().fulfill(wrong.hash(), bob).await.unwrap(), None);
    let used = change.invitations().fulfill(token.hash(), bob).await.unwrap().unwrap();
    assert_eq!(used.membership, Some((project, Role::Owner)));
    assert_eq!(used.used, Some((bob, at(3))));
    assert_eq!(
        change.invitations().fulfill(token.hash(), bob).await.unwrap(),
        None,
        "again, in the same change"
    );
    change.commit().await.unwrap();
    assert_eq!(site.store.invitations().find_by_token(token.hash(), at(4)).await.unwrap(), None);
    let fulfilled = site.change(at(4)).await.invitations().fulfill(token.hash(), ada).await.unwrap();
    assert_eq!(fulfilled, None, "again, later");
}

async fn an_invitation_ends(site: Site) {
    let ada = site.account("ada").await;
    let token = site.token();
    let id = site.invitation_id();
    let mut change = site.change(at(1)).await;
    let new = NewInvitation { id, token: token.hash(), membership: None, expires: at(10) };
    change.invitations().add(&new).await.unwrap();
    change.commit().await.unwrap();
    for (now, wanted) in [(at(9), true), (at(10), false), (at(11), false)] {
        let found = site.store.invitations().find_by_token(token.hash(), now).await.unwrap();
        assert_eq!(found.is_some(), wanted, "{now:?}");
        let used = site.change(now).await.invitations().fulfill(token.hash(), ada).await.unwrap();
        assert_eq!(used.is_some(), wanted, "{now:?}");
    }
}

async fn an_invitation_can_be_withdrawn(site: Site) {
    let token = site.token();
    let id = site.invitation_id();
    let mut change = site.change(at(1)).await;
    let new = NewInvitation { id, token: token.hash(), membership: None, expires: at(10) };
    change.invitations().add(&new).await.unwrap();
    assert!(change.invitations().remove(id).await.unwrap());
    assert!(!change.invitations().remove(id).await.unwrap());
    change.commit().await.unwrap();
    assert_eq!(site.store.invitations().find_by_token(token.hash(), at(2)).await.unwrap(), None);
}

async fn invitations_are_listed(site: Site) {
    let ada = site.account("ada").await;
    let project = site.project(ada, None).await;
    let mut change = site.change(at(1)).await;
    let mut ids = Vec::new();
    for (membership, expires) in
        [(None, at(10)), (Some((project, Role::Collaborator)), at(10)), (None, at(5))]
    {
        let id = site.invitation_id();
        let new = NewInvitation { id, token: site.token().hash(), membership, expires };
        change.invitations().add(&new).await.unwrap();
        ids.push(id);
    }
    change.commit().await.unwrap();
    let listed = async |project, now| {
        let open = site.store.invitations().list_open(project, now, 10).await.unwrap();
        open.into_iter().map(|i| i.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, at(2)).await, ids);
    assert_eq!(listed(None, at(6)).await, ids[..2]);
    assert_eq!(listed(Some(project), at(2)).await, ids[1..2]);
    assert!(listed(None, at(10)).await.is_empty());
}

async fn two_takers_of_one_invitation(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let token = site.token();
    let mut change = site.change(at(1)).await;
    let id = site.invitation_id();
    let new = NewInvitation { id, token: token.hash(), membership: None, expires: at(10) };
    change.invitations().add(&new).await.unwrap();
    change.commit().await.unwrap();
    let other = site.another_process().await;
    let take = async |store: &hop_store::Store, account| {
        let mut change = store.change(Actor::site(), at(2)).await.unwrap();
        let used = change.invitations().fulfill(token.hash(), account).await.unwrap();
        change.commit().await.unwrap();
        used.is_some()
    };
    let (first, second) = tokio::join!(take(&site.store, ada), take(&other, bob));
    assert!(first != second, "exactly one used it: {first} {second}");
}

async fn a_link_signs_in_once(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let (token, other) = (site.token(), site.token());
    let mut change = site.change(at(1)).await;
    for (token, account) in [(&token, ada), (&other, bob)] {
        let new = NewSignInLink { id: site.link_id(), token: token.hash(), account, expires: at(10) };
        change.sign_in_links().add(&new).await.unwrap();
    }
    change.commit().await.unwrap();
    // Looking does not use it up.
    for _ in 0..2 {
        let found = site.store.sign_in_links().find_account(token.hash(), at(2)).await.unwrap();
        assert_eq!(found.map(|account| account.id), Some(ada));
    }
    let mut change = site.change(at(2)).await;
    let account = change.sign_in_links().fulfill(token.hash()).await.unwrap().unwrap();
    assert_eq!(account.id, ada);
    assert_eq!(change.sign_in_links().fulfill(token.hash()).await.unwrap(), None);
    assert_eq!(change.sign_in_links().fulfill(site.token().hash()).await.unwrap(), None);
    change.commit().await.unwrap();
    assert_eq!(site.store.sign_in_links().find_account(token.hash(), at(3)).await.unwrap(), None);
    let found = site.store.sign_in_links().find_account(other.hash(), at(3)).await.unwrap();
    assert_eq!(found.map(|account| account.id), Some(bob), "the other link is another link");
}

async fn a_link_ends(site: Site) {
    let ada = site.account("ada").await;
    let token = site.token();
    let mut change = site.change(at(1)).await;
    let new = NewSignInLink { id: site.link_id(), token: token.hash(), account: ada, expires: at(10) };
    change.sign_in_links().add(&new).await.unwrap();
    change.commit().await.unwrap();
    for (now, wanted) in [(at(9), true), (at(10), false)] {
        let used = site.change(now).await.sign_in_links().fulfill(token.hash()).await.unwrap();
        assert_eq!(used.is_some(), wanted, "{now:?}");
    }
    for (now, wanted) in [(at(9), 0), (at(10), 1), (at(11), 0)] {
        let mut change = site.change(now).await;
        assert_eq!(change.sign_in_links().remove_expired().await.unwrap(), wanted, "{now:?}");
        change.commit().await.unwrap();
    }
}
