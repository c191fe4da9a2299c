//! Keys: pasted, named, ended.

use std::time::Duration;

use hop_keys::{KeyAlgorithm, PrivateKey};
use hop_portal::operations::{Denied, KeyError, KeyPlace, KeySource, RefusedKeyReason, Rules};
use hop_store::{RevocationSeq, Revoked};

use crate::site::{Site, new_key, operator, title};

#[tokio::test]
async fn titles_come_from_the_person_the_comment_or_the_origin() {
    let site = Site::new().await;
    let (ada, by_ada) = site.account("ada").await;
    let place = KeyPlace::Account(ada);
    let line = |comment: &str| new_key().to_line(comment);
    let url = |text: String| KeySource::Url { url: "https://keys.example/ada".to_owned(), text };
    let cases = [
        (Some("my laptop"), KeySource::Paste(line("x@y")), vec!["my laptop"]),
        (None, KeySource::Paste(line("ada@laptop")), vec!["ada@laptop"]),
        (None, KeySource::Paste(line("")), vec!["ssh-ed25519"]),
        (Some("two"), KeySource::Paste(line("") + "\n" + &line("c")), vec!["two (1)", "two (2)"]),
        (None, url(line("") + "\n" + &line("c")), vec!["https://keys.example/ada (1)", "c"]),
        (None, KeySource::Paste(line(&"ä".repeat(300))), vec![&*"ä".repeat(100)].into_iter().collect()),
    ]
    .map(|(t, s, w)| (t, s, w.into_iter().map(str::to_owned).collect::<Vec<_>>()));
    for (given, source, wanted) in cases {
        let given = given.map(title);
        let added = site.operations.add_keys(&by_ada, place, given.as_ref(), &source, None).await.unwrap();
        assert!(added.is_complete());
        let titles: Vec<_> = added.added.iter().map(|key| key.title.to_string()).collect();
        assert_eq!(titles, wanted);
    }
    assert_eq!(site.operations.account_keys(&by_ada, ada).await.unwrap().len(), 8);
}

#[tokio::test]
async fn good_keys_are_stored_and_the_others_told_with_their_lines() {
    let site = Site::with_rules(Rules { most_keys: 3, ..Rules::default() }).await;
    let (ada, by_ada) = site.account("ada").await;
    let place = KeyPlace::Account(ada);
    let known = new_key();
    let text = KeySource::Paste(known.to_line("known"));
    site.operations.add_keys(&by_ada, place, None, &text, None).await.unwrap();
    let lines = [
        new_key().to_line("one"),
        "what is this".to_owned(),
        known.to_line("again"),
        new_key().to_line("two"),
        new_key().to_line("three"),
    ];
    let text = KeySource::Paste(lines.join("\n"));
    let outcome = site.operations.add_keys(&by_ada, place, None, &text, None).await.unwrap();
    let added: Vec<_> = outcome.added.iter().map(|key| key.title.as_str()).collect();
    assert_eq!(added, ["one", "two"]);
    let refused: Vec<_> = outcome.refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        refused,
        [
            "line 2: this is not a public key; one begins with a word like ssh-ed25519",
            "line 3: this key is there already, as \"known\"",
            "line 5: there are 3 keys already, more are not kept; remove some first",
        ]
    );
    assert_eq!(outcome.refused[2].reason, RefusedKeyReason::Full { most: 3 });
}

#[tokio::test]
async fn a_private_key_is_not_stored_nor_anything_beside_it() {
    let site = Site::new().await;
    let (ada, by_ada) = site.account("ada").await;
    let private = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let file = private.to_openssh("mine");
    let before = site.actions().await;
    let text = KeySource::Paste(format!("{}\n{}", new_key().to_line(""), *file));
    let error =
        site.operations.add_keys(&by_ada, KeyPlace::Account(ada), None, &text, None).await.unwrap_err();
    assert!(matches!(error, KeyError::Private(_)), "{error}");
    assert!(site.operations.account_keys(&by_ada, ada).await.unwrap().is_empty());
    assert_eq!(site.actions().await, before);
    let empty = KeySource::Paste(" \n".to_owned());
    let error =
        site.operations.add_keys(&by_ada, KeyPlace::Account(ada), None, &empty, None).await.unwrap_err();
    assert!(matches!(error, KeyError::Empty), "{error}");
}

#[tokio::test]
async fn removing_and_shortening_a_key_reaches_the_gateways() {
    let site = Site::new().await;
    let (ada, by_ada) = site.account("ada").await;
    let key = site.key(ada).await;
    let soon = site.operations.now().plus(Duration::from_secs(60));
    site.operations.set_key_expiry(&by_ada, key, Some(soon)).await.unwrap();
    for past in [site.operations.now(), site.operations.now().minus(Duration::from_secs(1))] {
        let error = site.operations.set_key_expiry(&by_ada, key, Some(past)).await.unwrap_err();
        assert!(matches!(error, KeyError::PastExpiry), "{error}");
    }
    site.operations.rename_key(&by_ada, key, &title("other")).await.unwrap();
    let removed = site.operations.remove_key(&by_ada, key).await.unwrap();
    assert_eq!((removed.title, removed.expires), (title("other"), Some(soon)));
    let revocations = site.store().revocations().since(RevocationSeq::START, 10).await.unwrap();
    assert!(matches!(revocations[0].revoked, Revoked::Expiry { .. }), "{revocations:?}");
    assert!(matches!(revocations[1].revoked, Revoked::Key { .. }), "{revocations:?}");
    let error = site.operations.remove_key(&by_ada, key).await.unwrap_err();
    assert!(matches!(error, KeyError::Absent), "{error}");
}

#[tokio::test]
async fn project_keys_are_the_owners_to_decide_and_the_holders_to_remove() {
    let site = Site::new().await;
    let (ada, by_ada) = site.account("ada").await;
    let (bob, by_bob) = site.account("bob").await;
    let (_, by_eve) = site.account("eve").await;
    let project = site.project(ada, "climate").await;
    let operations = &site.operations;
    operations
        .add_member(&by_ada, project, &crate::site::name("bob"), hop_store::Role::Collaborator)
        .await
        .unwrap();
    let source = || KeySource::Paste(new_key().to_line("robot"));
    let place = |holder| KeyPlace::Project { project, holder };
    let error = operations.add_keys(&by_bob, place(bob), None, &source(), None).await.unwrap_err();
    assert!(matches!(error, KeyError::Denied(Denied::NotOwner)), "{error}");
    // Not into somebody else's name either.
    let error = operations.add_keys(&by_ada, place(bob), None, &source(), None).await.unwrap_err();
    assert!(matches!(error, KeyError::Denied(Denied::NotYours)), "{error}");
    let of_ada = operations.add_keys(&by_ada, place(ada), None, &source(), None).await.unwrap().added[0].id;
    let of_bob =
        operations.add_keys(&operator(), place(bob), None, &source(), None).await.unwrap().added[0].id;
    assert_eq!(operations.project_keys(&by_bob, project).await.unwrap().len(), 2);
    let error = operations.remove_key(&by_bob, of_ada).await.unwrap_err();
    assert!(matches!(error, KeyError::Denied(Denied::NotOwner)), "{error}");
    let error = operations.remove_key(&by_eve, of_ada).await.unwrap_err();
    assert!(matches!(error, KeyError::Absent), "{error}");
    operations.remove_key(&by_bob, of_bob).await.unwrap();
    operations.remove_key(&by_ada, of_ada).await.unwrap();
}
