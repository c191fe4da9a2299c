//! Links, passwords and web sessions.

use std::time::Duration;

use hop_portal::operations::{Browser, Denied, SignInError};
use hop_store::Token;

use crate::site::{PASSWORD, Site, operator, visitor};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_link_signs_in_once() {
    let site = Site::new().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    let error = operations.make_sign_in_link(&by_ada, ada, HOUR).await.unwrap_err();
    assert!(matches!(error, SignInError::Denied(Denied::NotAdmin)), "{error}");
    let link = operations.make_sign_in_link(&operator(), ada, HOUR).await.unwrap();
    let browser = Browser::default();
    for _ in 0..3 {
        assert_eq!(operations.find_sign_in_link(&link.token).await.unwrap().id, ada);
    }
    let signed_in = operations.sign_in_by_link(&visitor(), &link.token, &browser).await.unwrap();
    assert_eq!(signed_in.account.id, ada);
    for error in [
        operations.sign_in_by_link(&visitor(), &link.token, &browser).await.unwrap_err(),
        operations.find_sign_in_link(&link.token).await.unwrap_err(),
    ] {
        assert!(matches!(error, SignInError::Spent), "{error}");
    }
    let late = operations.make_sign_in_link(&operator(), ada, HOUR).await.unwrap();
    site.pass(HOUR);
    let error = operations.sign_in_by_link(&visitor(), &late.token, &browser).await.unwrap_err();
    assert!(matches!(error, SignInError::Spent), "{error}");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_password_the_words_are_the_same() {
    let site = Site::new().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    let (bob, by_bob) = site.account("bob").await;
    site.account("eve").await;
    operations.set_password(&by_ada, ada, None, Some(PASSWORD)).await.unwrap();
    operations.set_password(&by_bob, bob, None, Some(PASSWORD)).await.unwrap();
    operations.suspend_account(&operator(), bob).await.unwrap();
    let browser = Browser::default();
    for (name, password) in [
        ("ada", "wrong horse battery"),
        ("ada", ""),
        ("bob", PASSWORD),
        ("eve", PASSWORD),
        ("eve", ""),
        ("nobody", PASSWORD),
        ("not a name\0", PASSWORD),
        ("ada", &*"x".repeat(100_000)),
    ] {
        let error = operations.sign_in_by_password(&visitor(), name, password, &browser).await.unwrap_err();
        assert!(matches!(error, SignInError::Refused), "{name}: {error}");
    }
    let signed_in = operations.sign_in_by_password(&visitor(), "ada", PASSWORD, &browser).await.unwrap();
    assert_eq!(signed_in.account.id, ada);
}

#[tokio::test]
async fn every_sign_in_has_a_new_token_and_ends_the_browsers_old_session() {
    let site = Site::new().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    operations.set_password(&by_ada, ada, None, Some(PASSWORD)).await.unwrap();
    let mut browser = Browser::default();
    let first = operations.sign_in_by_password(&visitor(), "ada", PASSWORD, &browser).await.unwrap();
    let (session, _) = operations.find_session(&first.token, None).await.unwrap().unwrap();
    browser.had = Some((ada, session.id));
    let second = operations.sign_in_by_password(&visitor(), "ada", PASSWORD, &browser).await.unwrap();
    assert!(operations.find_session(&first.token, None).await.unwrap().is_none());
    let (session, _) = operations.find_session(&second.token, None).await.unwrap().unwrap();
    browser.had = Some((ada, session.id));
    let third = operations.renew_session(&by_ada, &browser).await.unwrap();
    assert!(operations.find_session(&second.token, None).await.unwrap().is_none());
    // A new password ends them all.
    operations.set_password(&by_ada, ada, Some(PASSWORD), Some("another battery")).await.unwrap();
    assert!(operations.find_session(&third.token, None).await.unwrap().is_none());
}

#[tokio::test]
async fn sessions_end_when_idle_when_old_and_when_ended() {
    let site = Site::new().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    let (_, by_eve) = site.account("eve").await;
    let browser = Browser::default();
    let day = HOUR * 24;
    let address = Some([192, 0, 2, 1].into());
    let idle = operations.renew_session(&by_ada, &browser).await.unwrap().token;
    let used = operations.renew_session(&by_ada, &browser).await.unwrap().token;
    for _ in 0..5 {
        site.pass(day * 6);
        let kept = operations.find_session(&used, address).await.unwrap();
        assert_eq!(kept.is_some(), operations.now() < site_end(), "{kept:?}");
    }
    assert!(operations.find_session(&idle, None).await.unwrap().is_none());
    let token = operations.renew_session(&by_ada, &browser).await.unwrap().token;
    let (session, _) = operations.find_session(&token, None).await.unwrap().unwrap();
    let error = operations.end_web_session(&by_eve, session.id).await.unwrap_err();
    assert!(matches!(error, SignInError::NoSession), "{error}");
    operations.end_web_session(&by_ada, session.id).await.unwrap();
    assert!(operations.find_session(&token, None).await.unwrap().is_none());
    for _ in 0..3 {
        operations.renew_session(&by_ada, &browser).await.unwrap();
    }
    assert_eq!(operations.web_sessions(&by_ada).await.unwrap().len(), 3);
    let error = operations.end_web_sessions(&by_eve, ada).await.unwrap_err();
    assert!(matches!(error, SignInError::Denied(Denied::NotYours)), "{error}");
    assert!(operations.end_web_sessions(&by_ada, ada).await.unwrap() >= 3);
    assert!(operations.web_sessions(&by_ada).await.unwrap().is_empty());
    assert!(operations.find_session(&Token::from_bytes([7; 32]), None).await.unwrap().is_none());
    operations.forget_expired().await.unwrap();
}

/// 30 days after the clock of every test begins.
fn site_end() -> hop_store::Timestamp {
    hop_store::Timestamp::from_seconds(1_800_000_000).plus(HOUR * 24 * 30)
}

#[tokio::test]
async fn an_unknown_name_costs_as_much_as_a_wrong_password() {
    const ROUNDS: usize = 40;
    let site = Site::with_real_passwords().await;
    let operations = &site.operations;
    let (ada, by_ada) = site.account("ada").await;
    site.account("eve").await;
    operations.set_password(&by_ada, ada, None, Some(PASSWORD)).await.unwrap();
    let names = ["ada", "eve", "nobody", "no name\0"];
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        for (name, times) in names.iter().zip(&mut times) {
            let begin = std::time::Instant::now();
            let tried =
                operations.sign_in_by_password(&visitor(), name, "wrong horse", &Browser::default()).await;
            assert!(matches!(tried, Err(SignInError::Refused)));
            times.push(begin.elapsed());
        }
    }
    // The least of many tries is what the work takes, however busy the machine is. Without it a refusal takes a
    // twentieth.
    let least = times.map(|times| times.into_iter().min().unwrap().as_secs_f64());
    for (name, time) in names.iter().zip(least) {
        let ratio = time / least[0];
        assert!((0.6..1.6).contains(&ratio), "{name}: {ratio:.2} of a wrong password ({least:?} s)");
    }
}
