use super::*;
use crate::prompt::Class;
use crate::prompt::class::Hint;
use hop_connect::Alias;
use hop_connect::resolve::{Resolved, Route};
use hop_secrets::Kind;
use std::os::unix::fs::PermissionsExt;

fn saga() -> Alias {
    Alias::parse("saga").unwrap()
}

fn entrusted() -> Book {
    let mut book = Book::default();
    let seed = Entrusted {
        site_allows: true,
        fingerprint: Some("f".to_owned()),
        period: Some(30),
        ..Entrusted::default()
    };
    book.of_mut(&saga()).secrets.insert(Kind::Totp, seed);
    book
}

#[test]
fn a_question_is_learnt_with_its_secret_and_answered_until_it_is_refused() {
    let mut book = entrusted();
    assert!(!book.of(&saga()).unwrap().answers_something());
    assert!(!book.learn(&saga(), "Password:", Answering::Password), "there is no password");
    assert!(!book.learn(&saga(), "Password + OTP:", Answering::PasswordAndCode));
    assert!(book.learn(&saga(), "Verification code:", Answering::Code));
    assert!(!book.learn(&saga(), "Verification code:", Answering::Code), "it is known");
    assert!(book.of(&saga()).unwrap().answers_something());
    book.stop(&saga(), &[Kind::Totp], "it was refused");
    let host = book.of(&saga()).unwrap();
    assert_eq!(host.missing(Answering::Code), Some((Kind::Totp, Some("it was refused"))));
    assert!(!host.answers_something());
    assert_eq!(host.missing(Answering::PasswordAndCode), Some((Kind::Password, None)));
}

#[test]
fn without_a_word_on_what_the_site_allows_no_code_is_made() {
    let mut book = entrusted();
    book.of_mut(&saga()).secrets.insert(Kind::Totp, Entrusted::default());
    assert!(book.of(&saga()).unwrap().missing(Answering::Code).is_some());
}

#[test]
fn a_step_is_used_once_whoever_used_it() {
    let mut book = entrusted();
    assert_eq!(book.used("f"), None);
    book.person_used(&saga(), 65);
    assert_eq!(book.used("f"), Some(2));
    book.use_step("f", 1);
    assert_eq!(book.used("f"), Some(2), "time goes on");
}

#[test]
fn a_jump_hosts_words_are_not_the_hosts() {
    let resolved = Resolved {
        host_name: "10.0.0.1".to_owned(),
        user: "ada".to_owned(),
        port: 22,
        route: Route::Direct,
        identity_files: vec![],
        certificate_files: vec![],
        forward_agent: false,
        forward_x11: false,
        send_env: vec![],
        set_env: vec![],
        has_keepalive: false,
        has_connect_timeout: false,
        gssapi: false,
        batch_mode: false,
    };
    assert_eq!(question("(ada@10.0.0.1) Your code: ", &resolved), "Your code:");
    assert_eq!(question("(ada@bastion) Your code: ", &resolved), "(ada@bastion) Your code:");
    let nested = "(ada@bastion) (ada@10.0.0.1) Your code: ";
    assert_eq!(question(nested, &resolved), nested.trim());
}

#[test]
fn only_four_classes_are_ever_answered() {
    for (prompt, answering) in [
        ("Verification code: ", Some(Answering::Code)),
        ("ada@saga's password: ", Some(Answering::Password)),
        ("Enter passphrase for key '/k': ", Some(Answering::Passphrase)),
        ("Password + OTP: ", Some(Answering::PasswordAndCode)),
        ("New password: ", None),
        ("Passcode or option (1-3): ", None),
        ("Visit https://idp.example.org and enter the code: ", None),
        ("Are you sure you want to continue connecting (yes/no)? ", None),
        ("Say the word: ", None),
    ] {
        assert_eq!(Answering::of(Class::of(prompt, Hint::Answer)), answering, "{prompt}");
    }
}

#[test]
fn the_record_outlives_its_process_and_a_damaged_one_answers_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let answers = Answers::within(&folder.path().join("state"));
    assert_eq!(answers.read().unwrap(), Book::default());
    answers.change(|book| *book = entrusted()).unwrap();
    answers.change(|book| book.use_step("f", 7)).unwrap();
    let again = Answers::within(&folder.path().join("state")).read().unwrap();
    assert_eq!((again.used("f"), again.hosts.len()), (Some(7), 1));
    let path = folder.path().join("state/answers.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(answers.read(), Err(AnswersError::Exposed(_))));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for damaged in
        ["", "{}", r#"{"version":2,"hosts":{},"codes":{}}"#, r#"{"version":1,"hosts":{},"codes":{},"x":1}"#]
    {
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(answers.read(), Err(AnswersError::Format { .. })), "{damaged}");
        assert!(answers.change(|_| ()).is_err(), "what is not understood is not overwritten");
    }
}
