//! Accounts and their passwords.

use hop_portal::operations::{AccountError, Denied, PasswordRule};
use hop_store::AccountState;

use crate::site::{PASSWORD, Site, name, operator, visitor};

#[tokio::test]
async fn the_last_admin_stays() {
    let site = Site::new().await;
    let (root, by_root) = site.admin("root").await;
    for error in [
        site.operations.suspend_account(&by_root, root).await.unwrap_err(),
        site.operations.set_admin(&by_root, root, false).await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "the account root is the only active admin; make another one first");
    }
    let (ada, _) = site.account("ada").await;
    site.operations.set_admin(&by_root, ada, true).await.unwrap();
    site.operations.set_admin(&by_root, root, false).await.unwrap();
    let error = site.operations.add_account(&by_root, &name("bob"), false).await.unwrap_err();
    assert!(matches!(error, AccountError::Denied(Denied::NotAdmin)), "{error}");
}

#[tokio::test]
async fn a_name_is_one_account() {
    let site = Site::new().await;
    site.account("ada").await;
    let error = site.operations.add_account(&operator(), &name("ada"), false).await.unwrap_err();
    assert!(matches!(error, AccountError::NameTaken { .. }), "{error}");
}

#[tokio::test]
async fn a_suspended_account_may_do_nothing_with_the_word_it_still_has() {
    let site = Site::new().await;
    let (_, by_root) = site.admin("root").await;
    let (ada, by_ada) = site.account("ada").await;
    site.operations.suspend_account(&by_root, ada).await.unwrap();
    let error = site.operations.set_password(&by_ada, ada, None, Some(PASSWORD)).await.unwrap_err();
    assert!(matches!(error, AccountError::Denied(Denied::Suspended)), "{error}");
    site.operations.activate_account(&by_root, ada).await.unwrap();
    let account = site.store().accounts().find_by_id(ada).await.unwrap().unwrap();
    assert_eq!(account.state, AccountState::Active);
}

#[tokio::test]
async fn passwords() {
    let site = Site::new().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    let (_, by_root) = site.admin("root").await;
    for (new, wanted) in [
        ("short", PasswordRule::Short),
        ("123456789", PasswordRule::Short),
        (&*"x".repeat(1_025), PasswordRule::Long),
    ] {
        let error = operations.set_password(&by_ada, ada, None, Some(new)).await.unwrap_err();
        assert!(matches!(error, AccountError::Password(rule) if rule == wanted), "{error}");
        assert!(!error.to_string().contains(new) || new.len() < 8, "{error}");
    }
    assert!(!operations.has_password(ada).await.unwrap());
    operations.set_password(&by_ada, ada, None, Some(PASSWORD)).await.unwrap();
    assert!(operations.has_password(ada).await.unwrap());
    let hash = site.store().accounts().find_password_hash(ada).await.unwrap().unwrap();
    assert!(hash.expose_secret().starts_with("$argon2id$v=19$"), "{}", hash.expose_secret());
    // From now on the current one is asked for, and an admin of the site cannot set it either.
    for current in [None, Some("wrong horse battery")] {
        let error = operations.set_password(&by_ada, ada, current, Some("another one 1")).await.unwrap_err();
        assert!(matches!(error, AccountError::WrongPassword), "{error}");
    }
    let error = operations.set_password(&by_root, ada, None, None).await.unwrap_err();
    assert!(matches!(error, AccountError::Denied(Denied::NotYours)), "{error}");
    let error = operations.set_password(&visitor(), ada, None, None).await.unwrap_err();
    assert!(matches!(error, AccountError::Denied(Denied::NotSignedIn)), "{error}");
    operations.set_password(&by_ada, ada, Some(PASSWORD), Some("another one 1")).await.unwrap();
    operations.set_password(&operator(), ada, None, None).await.unwrap();
    assert!(!operations.has_password(ada).await.unwrap());
}
