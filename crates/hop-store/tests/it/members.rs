//! Members: roles, the last owner, and what leaving takes along.

use std::time::Duration;

use hop_store::{
    AccountState, Actor, KeyOwner, MemberError, NewInvitation, RevocationSeq, Revoked, Role, Through,
};

use tokio::time::timeout;

use crate::site::{Site, at, both, name, new_key};

both! {
    members_and_their_roles
    a_project_keeps_an_owner
    leaving_takes_keys_and_invitations_along
    two_owners_cannot_both_leave
}

async fn members_and_their_roles(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let project = site.project(ada, None).await;
    let mut change = site.change(at(1)).await;
    change.members().add(project, bob, Role::Collaborator).await.unwrap();
    let refused = change.members().add(project, bob, Role::Owner).await;
    assert!(
        matches!(&refused, Err(MemberError::AlreadyMember { name: n }) if *n == name("bob")),
        "{refused:?}"
    );
    let nobody = site.account_id();
    let refused = change.members().add(project, nobody, Role::Owner).await;
    assert!(matches!(refused, Err(MemberError::NoAccount { .. })), "{refused:?}");
    let nowhere = site.project_id();
    let refused = change.members().add(nowhere, bob, Role::Owner).await;
    assert!(matches!(refused, Err(MemberError::NoProject { .. })), "{refused:?}");
    let refused = change.members().remove(nowhere, bob).await;
    assert!(matches!(refused, Err(MemberError::NotAMember { .. })), "{refused:?}");
    change.commit().await.unwrap();

    let listed = site.store.members().list(project).await.unwrap();
    let shown: Vec<_> = listed.iter().map(|m| (m.account, m.name.as_str(), m.role, m.added)).collect();
    assert_eq!(shown, [(ada, "ada", Role::Owner, at(0)), (bob, "bob", Role::Collaborator, at(1))]);
    assert!(listed.iter().all(|m| m.state == AccountState::Active));
    assert_eq!(site.store.members().find_role(project, bob).await.unwrap(), Some(Role::Collaborator));
    assert_eq!(site.store.members().find_role(nowhere, bob).await.unwrap(), None);
}

async fn a_project_keeps_an_owner(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let project = site.project(ada, None).await;
    let mut change = site.change(at(1)).await;
    change.members().add(project, bob, Role::Collaborator).await.unwrap();
    for refused in [
        change.members().remove(project, ada).await,
        change.members().set_role(project, ada, Role::Collaborator).await,
    ] {
        assert!(matches!(refused, Err(MemberError::LastOwner { .. })), "{refused:?}");
    }
    change.members().set_role(project, bob, Role::Owner).await.unwrap();
    change.members().set_role(project, ada, Role::Collaborator).await.unwrap();
    change.members().remove(project, ada).await.unwrap();
    change.commit().await.unwrap();
    let revoked = site.store.revocations().since(RevocationSeq::START, 10).await.unwrap();
    assert_eq!(
        revoked.into_iter().map(|r| r.revoked).collect::<Vec<_>>(),
        [Revoked::Member { project, account: ada }]
    );
}

async fn leaving_takes_keys_and_invitations_along(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let project = site.project(ada, None).await;
    let mut change = site.change(at(1)).await;
    change.members().add(project, bob, Role::Owner).await.unwrap();
    change.commit().await.unwrap();
    let (held, kept, own) = (new_key(), new_key(), new_key());
    let owner = KeyOwner::Project { project, holder: bob };
    site.key(owner, &held, None).await;
    site.key(KeyOwner::Project { project, holder: ada }, &kept, None).await;
    site.key(KeyOwner::Account(bob), &own, None).await;
    let token = site.token();
    let actor = Actor::account(bob, Through::Portal, None);
    let mut change = site.store.change(actor, at(2)).await.unwrap();
    let membership = Some((project, Role::Collaborator));
    let new = NewInvitation { id: site.invitation_id(), token: token.hash(), membership, expires: at(100) };
    change.invitations().add(&new).await.unwrap();
    change.commit().await.unwrap();

    let mut change = site.change(at(3)).await;
    change.members().remove(project, bob).await.unwrap();
    change.commit().await.unwrap();
    let left = site.store.keys().list_of_project(project).await.unwrap();
    assert_eq!(left.iter().map(|k| k.fingerprint).collect::<Vec<_>>(), [kept.fingerprint()]);
    assert_eq!(site.store.keys().list_of_account(bob).await.unwrap().len(), 1);
    assert!(site.store.invitations().find_by_token(token.hash(), at(4)).await.unwrap().is_none());
    let revoked = site.store.revocations().since(RevocationSeq::START, 10).await.unwrap();
    assert_eq!(
        revoked.into_iter().map(|r| r.revoked).collect::<Vec<_>>(),
        [Revoked::Key { fingerprint: held.fingerprint(), owner }, Revoked::Member { project, account: bob }]
    );
}

async fn two_owners_cannot_both_leave(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let project = site.project(ada, None).await;
    let mut change = site.change(at(1)).await;
    change.members().add(project, bob, Role::Owner).await.unwrap();
    change.commit().await.unwrap();
    // The first has left but not committed when the second comes; it must not judge by what it sees then.
    let mut first = site.change(at(2)).await;
    first.members().remove(project, ada).await.unwrap();
    let other = site.another_process().await;
    let mut second = tokio::spawn(async move {
        let mut change = other.change(Actor::site(), at(2)).await.unwrap();
        let left = change.members().remove(project, bob).await;
        change.commit().await.unwrap();
        left
    });
    assert!(timeout(Duration::from_millis(300), &mut second).await.is_err(), "it waits for the first");
    first.commit().await.unwrap();
    let refused = second.await.unwrap();
    assert!(matches!(refused, Err(MemberError::LastOwner { .. })), "{refused:?}");
    assert_eq!(site.store.members().list(project).await.unwrap().len(), 1);
}
