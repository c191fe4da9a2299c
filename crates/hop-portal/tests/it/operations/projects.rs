//! Projects, members and invitations.

use std::time::Duration;

use hop_portal::operations::{
    AccountError, Browser, Denied, InvitationError, MemberError, ProjectError, Rules, SessionError,
};
use hop_store::{RevocationSeq, Revoked, Role};

use crate::site::{Site, alias, name, operator, title, visitor};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_project_is_made_named_and_removed() {
    let site = Site::new().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    let (bob, by_bob) = site.account("bob").await;
    let made =
        operations.add_project(&by_ada, ada, &title("Climate"), Some(&alias("climate"))).await.unwrap();
    let found = operations.find_project(&by_ada, "climate").await.unwrap();
    assert_eq!((found.project.id, found.role, found.decides), (made.id, Some(Role::Owner), true));
    let error =
        operations.add_project(&by_bob, bob, &title("Mine"), Some(&alias("climate"))).await.unwrap_err();
    assert_eq!(error.to_string(), "the alias climate is taken");
    operations.set_alias(&by_ada, made.id, Some(&alias("weather"))).await.unwrap();
    let error =
        operations.add_project(&by_bob, bob, &title("Mine"), Some(&alias("climate"))).await.unwrap_err();
    assert!(matches!(error, ProjectError::AliasRests { .. }), "{error}");
    operations.set_project_title(&by_ada, made.id, &title("Weather")).await.unwrap();
    operations.remove_project(&by_ada, made.id).await.unwrap();
    let error = operations.find_project(&by_ada, "weather").await.unwrap_err();
    assert!(matches!(error, ProjectError::Denied(Denied::NoProject)), "{error}");
}

#[tokio::test]
async fn how_many_projects_and_whose_is_a_rule_of_the_site() {
    let site = Site::with_rules(Rules { most_projects: 1, ..Rules::default() }).await;
    let (ada, by_ada) = site.account("ada").await;
    let (bob, _) = site.account("bob").await;
    site.operations.add_project(&by_ada, ada, &title("one"), None).await.unwrap();
    let error = site.operations.add_project(&by_ada, ada, &title("two"), None).await.unwrap_err();
    assert!(matches!(error, ProjectError::Full { most: 1 }), "{error}");
    let error = site.operations.add_project(&by_ada, bob, &title("two"), None).await.unwrap_err();
    assert!(matches!(error, ProjectError::Denied(Denied::NotYours)), "{error}");

    let site = Site::with_rules(Rules { accounts_make_projects: false, ..Rules::default() }).await;
    let (ada, by_ada) = site.account("ada").await;
    let (root, by_root) = site.admin("root").await;
    let error = site.operations.add_project(&by_ada, ada, &title("one"), None).await.unwrap_err();
    assert!(matches!(error, ProjectError::Denied(Denied::SiteRule)), "{error}");
    site.operations.add_project(&by_root, root, &title("one"), None).await.unwrap();
}

#[tokio::test]
async fn a_site_without_a_sandbox_has_one_account() {
    let site = Site::with_rules(Rules { sandbox: false, ..Rules::default() }).await;
    let (_, by_root) = site.admin("root").await;
    let error = site.operations.add_account(&by_root, &name("ada"), false).await.unwrap_err();
    assert!(matches!(error, AccountError::OneOnly(_)), "{error}");
    let invited = site.operations.invite(&by_root, None, Duration::from_secs(60)).await.unwrap();
    let accepted =
        site.operations.accept_as_new(&visitor(), &invited.token, &name("ada"), &Browser::default()).await;
    assert!(matches!(accepted, Err(InvitationError::OneOnly(_))), "{accepted:?}");
}

#[tokio::test]
async fn members_come_and_go() {
    let site = Site::new().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    let (bob, by_bob) = site.account("bob").await;
    let (_, by_eve) = site.account("eve").await;
    let project = site.project(ada, "climate").await;
    operations.add_member(&by_ada, project, &name("bob"), Role::Collaborator).await.unwrap();
    let error = operations.add_member(&by_ada, project, &name("bob"), Role::Owner).await.unwrap_err();
    assert_eq!(error.to_string(), "the account bob is a member already");
    let error = operations.add_member(&by_ada, project, &name("nobody"), Role::Owner).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no account named nobody here; send an invitation instead");
    let error = operations.add_member(&by_bob, project, &name("eve"), Role::Owner).await.unwrap_err();
    assert!(matches!(error, MemberError::Denied(Denied::NotOwner)), "{error}");
    let error = operations.members(&by_eve, project).await.unwrap_err();
    assert!(matches!(error, MemberError::Denied(Denied::NoProject)), "{error}");
    for error in [
        operations.remove_member(&by_ada, project, ada).await.unwrap_err(),
        operations.set_role(&by_ada, project, ada, Role::Collaborator).await.unwrap_err(),
    ] {
        assert!(matches!(error, MemberError::LastOwner), "{error}");
    }
    // A collaborator may leave, and nothing else.
    let error = operations.remove_member(&by_bob, project, ada).await.unwrap_err();
    assert!(matches!(error, MemberError::Denied(Denied::NotOwner)), "{error}");
    operations.remove_member(&by_bob, project, bob).await.unwrap();
    let revocations = site.store().revocations().since(RevocationSeq::START, 10).await.unwrap();
    assert_eq!(revocations[0].revoked, Revoked::Member { project, account: bob });
}

#[tokio::test]
async fn an_invitation_makes_an_account_and_a_membership_once() {
    let site = Site::new().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    let project = site.project(ada, "climate").await;
    let invited = operations.invite(&by_ada, Some((project, Role::Collaborator)), DAY).await.unwrap();
    let seen = operations.find_invitation(&invited.token).await.unwrap();
    assert_eq!((seen.project.unwrap().id, seen.inviter), (project, Some(name("ada"))));
    let browser = Browser::default();
    // A name that is taken uses nothing up.
    let error =
        operations.accept_as_new(&visitor(), &invited.token, &name("ada"), &browser).await.unwrap_err();
    assert!(matches!(error, InvitationError::NameTaken { .. }), "{error}");
    let bob = operations.accept_as_new(&visitor(), &invited.token, &name("bob"), &browser).await.unwrap();
    let (_, account) = operations.find_session(&bob.token, None).await.unwrap().unwrap();
    assert_eq!(account.name, name("bob"));
    let role = site.store().members().find_role(project, account.id).await.unwrap();
    assert_eq!(role, Some(Role::Collaborator));
    // Who has a link that is no good learns nothing of the names there are.
    for text in ["eve", "ada"] {
        let error =
            operations.accept_as_new(&visitor(), &invited.token, &name(text), &browser).await.unwrap_err();
        assert!(matches!(error, InvitationError::Spent), "{error}");
    }
    assert_eq!(site.store().accounts().count().await.unwrap(), 2);
}

#[tokio::test]
async fn an_invitation_for_who_has_an_account() {
    let site = Site::new().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    let (_, by_bob) = site.account("bob").await;
    let project = site.project(ada, "climate").await;
    let invited = operations.invite(&by_ada, Some((project, Role::Owner)), DAY).await.unwrap();
    let error = operations.accept(&by_ada, &invited.token).await.unwrap_err();
    assert!(matches!(error, InvitationError::AlreadyMember), "{error}");
    assert_eq!(operations.accept(&by_bob, &invited.token).await.unwrap(), project);
    let error = operations.accept(&by_bob, &invited.token).await.unwrap_err();
    assert!(matches!(error, InvitationError::Spent), "{error}");
    let to_site = operations.invite(&operator(), None, DAY).await.unwrap();
    let error = operations.accept(&by_bob, &to_site.token).await.unwrap_err();
    assert!(matches!(error, InvitationError::HasAccount), "{error}");
}

#[tokio::test]
async fn invitations_end() {
    let site = Site::new().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    let (bob, by_bob) = site.account("bob").await;
    let project = site.project(ada, "climate").await;
    let other = site.project(bob, "weather").await;
    let membership = Some((project, Role::Collaborator));
    let late = operations.invite(&by_ada, membership, DAY * 365).await.unwrap();
    site.pass(DAY * 30);
    assert!(matches!(operations.find_invitation(&late.token).await, Err(InvitationError::Spent)));
    let invited = operations.invite(&by_ada, membership, DAY).await.unwrap();
    // Not by an owner of another project.
    for project in [project, other] {
        let error = operations.withdraw_invitation(&by_bob, Some(project), invited.id).await.unwrap_err();
        assert!(matches!(error, InvitationError::Denied(_) | InvitationError::Spent), "{error}");
    }
    operations.withdraw_invitation(&by_ada, Some(project), invited.id).await.unwrap();
    assert!(matches!(operations.find_invitation(&invited.token).await, Err(InvitationError::Spent)));
    let error = operations.invite(&by_ada, None, DAY).await.unwrap_err();
    assert!(matches!(error, InvitationError::Denied(Denied::NotAdmin)), "{error}");
}

#[tokio::test]
async fn ssh_sessions_are_ended_by_their_own_and_by_owners() {
    let site = Site::new().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    let (bob, by_bob) = site.account("bob").await;
    let (_, by_eve) = site.account("eve").await;
    let project = site.project(ada, "climate").await;
    operations.add_member(&by_ada, project, &name("bob"), Role::Collaborator).await.unwrap();
    let of_ada = site.ssh_session(ada, project).await;
    let of_bob = site.ssh_session(bob, project).await;
    assert_eq!(operations.project_sessions(&by_bob, project, 10).await.unwrap().len(), 2);
    let error = operations.end_ssh_session(&by_bob, of_ada).await.unwrap_err();
    assert!(matches!(error, SessionError::Denied(Denied::NotOwner)), "{error}");
    let error = operations.end_ssh_session(&by_eve, of_ada).await.unwrap_err();
    assert!(matches!(error, SessionError::Absent), "{error}");
    operations.end_ssh_session(&by_bob, of_bob).await.unwrap();
    operations.end_ssh_session(&by_ada, of_bob).await.unwrap();
    let revocations = site.store().revocations().since(RevocationSeq::START, 10).await.unwrap();
    assert_eq!(revocations[0].revoked, Revoked::Session { session: of_bob });
    let activity = operations.project_activity(&by_bob, project, None, 3).await.unwrap();
    assert_eq!(activity[0].action, "ssh-session.end");
    assert_eq!(activity[0].actor, Some(ada));
}
