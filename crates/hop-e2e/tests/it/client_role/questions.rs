//! keyboard-interactive with an sshd that asks PAM: one-time codes, passwords, several methods in a row.
//!
//! The tests run as root: only root's sshd can ask PAM about another account.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hop_e2e::program::program;
use hop_e2e::sshd::Release;
use hop_e2e::{Identity, Run, Scratch};
use hop_ssh::Error;
use hop_ssh::auth::Offer;
use hop_ssh::message::DisconnectReason;

use super::client::{Client, Person, log_in, private, run};
use super::servers::both_releases;
use super::sshd::{PAM_USER, PASSWORD, Setup, Sshd};

both_releases![
    a_right_code_logs_in,
    a_wrong_code_is_refused_and_another_try_is_the_callers_wish,
    password_and_code_are_two_rounds,
    key_and_code_are_both_needed_in_whatever_order_we_offer_them,
    code_and_key_are_both_needed_in_whatever_order_we_offer_them,
    a_question_that_nobody_answers_ends_the_login,
    a_question_is_taken_back_when_the_server_leaves,
    a_new_password_is_demanded_and_not_given,
    a_banner_comes_before_the_questions,
];

const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// A line of a PAM stack that wants a code.
fn wants_code(scratch: &Scratch) -> String {
    let secret = scratch.write("totp", format!("{SECRET}\n\" TOTP_AUTH\n\" WINDOW_SIZE 3\n"));
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o400)).unwrap();
    // A copy, because the Debian 13 tree has none and PAM takes a module by its path.
    let module = scratch.join("pam_google_authenticator.so");
    std::fs::copy(google_authenticator(), &module).unwrap();
    format!("auth required {} secret={} user=root allowed_perm=0400\n", module.display(), secret.display())
}

/// The module lies in a folder that is named after the machine.
fn google_authenticator() -> PathBuf {
    // Of the same package.
    let _ = program("google-authenticator");
    let folders = Path::new("/usr/lib").read_dir().unwrap();
    let module = folders
        .map(|folder| folder.unwrap().path().join("security/pam_google_authenticator.so"))
        .find(|module| module.exists());
    module.expect("libpam-google-authenticator has its module below /usr/lib")
}

const WANTS_PASSWORD: &str = "auth required pam_unix.so\n";
const ADMITS_EVERYBODY: &str = "account required pam_permit.so\nsession required pam_permit.so\n";
/// Some day in 2024.
const LONG_AGO: u32 = 20_000;

fn code() -> String {
    let told = Run::new(program("oathtool")).args(["--totp", "-b", SECRET]).success().stdout();
    told.trim().to_owned()
}

/// An sshd that asks for a code, with more lines in its configuration.
fn with_code(release: Release, lines: &str) -> (Sshd, Identity) {
    let setup = Setup::new(release);
    let key = Identity::ed25519(&setup.scratch, "user_key");
    let stack = wants_code(&setup.scratch) + ADMITS_EVERYBODY;
    let server = setup.pam(&stack, LONG_AGO).line(lines).allow(&key).start();
    (server, key)
}

async fn log_in_by(server: &Sshd, offers: Vec<Offer>, person: &mut Person) -> Result<Client, Error> {
    log_in(server.address, server.config(), &server.user, offers, person).await
}

async fn assert_in(client: &Client) {
    assert_eq!(client.exec("id -un", b"").await.success(), format!("{PAM_USER}\n"));
}

const QUESTIONS: Offer = Offer::KeyboardInteractive;
const CODE: &[(&str, bool)] = &[("Verification code: ", false)];

fn a_right_code_logs_in(release: Release) {
    let (server, _) = with_code(release, "AuthenticationMethods keyboard-interactive");
    run(async {
        let mut person = Person::answering(&[&[&code()]]);
        let client = log_in_by(&server, vec![QUESTIONS], &mut person).await.unwrap();
        assert_in(&client).await;
        // The last round asks nothing; it wants an answer all the same.
        assert_eq!(person.prompts(), [CODE, &[]]);
    });
}

fn a_wrong_code_is_refused_and_another_try_is_the_callers_wish(release: Release) {
    let (server, _) = with_code(release, "AuthenticationMethods keyboard-interactive");
    let wrong = format!("{:06}", (code().parse::<u32>().unwrap() + 1) % 1_000_000);
    run(async {
        let mut person = Person::answering(&[&[&wrong], &[&code()]]);
        let refused = log_in_by(&server, vec![QUESTIONS], &mut person).await.err().unwrap();
        assert!(
            matches!(&refused, Error::AuthenticationRefused { remaining } if remaining == "keyboard-interactive"),
            "{refused}"
        );
        assert_eq!(person.rounds.len(), 1, "no answer is given that was not asked for");

        let mut person = Person::answering(&[&[&wrong], &[&code()]]);
        let client = log_in_by(&server, vec![QUESTIONS, QUESTIONS], &mut person).await.unwrap();
        assert_in(&client).await;
        assert_eq!(person.prompts(), [CODE, CODE, &[]]);
    });
}

fn password_and_code_are_two_rounds(release: Release) {
    let setup = Setup::new(release);
    let stack = WANTS_PASSWORD.to_owned() + &wants_code(&setup.scratch) + ADMITS_EVERYBODY;
    let server = setup.pam(&stack, LONG_AGO).line("AuthenticationMethods keyboard-interactive").start();
    run(async {
        let mut person = Person::answering(&[&[PASSWORD], &[&code()]]);
        let client = log_in_by(&server, vec![QUESTIONS], &mut person).await.unwrap();
        assert_in(&client).await;
        assert_eq!(person.prompts(), [&[("Password: ", false)], CODE, &[]]);
    });
}

fn key_and_code_are_both_needed_in_whatever_order_we_offer_them(release: Release) {
    both_are_needed(release, "publickey,keyboard-interactive", "keyboard-interactive");
}

fn code_and_key_are_both_needed_in_whatever_order_we_offer_them(release: Release) {
    both_are_needed(release, "keyboard-interactive,publickey", "publickey");
}

/// `methods` in the server's order; `last` is what it still wants when we have only the first.
fn both_are_needed(release: Release, methods: &str, last: &str) {
    let (server, key) = with_code(release, &format!("AuthenticationMethods {methods}"));
    let person = || Person { keys: vec![private(&key)], ..Person::answering(&[&[&code()]]) };
    run(async {
        let key = person().offers().remove(0);
        for offers in [vec![key.clone(), QUESTIONS], vec![QUESTIONS, key.clone()]] {
            let mut person = person();
            let client = log_in_by(&server, offers, &mut person).await.unwrap();
            assert_in(&client).await;
            assert_eq!(person.prompts(), [CODE, &[]]);
            assert_eq!(person.signed.len(), 1);
        }
        // Half of it does not do.
        let first = if last == "publickey" { QUESTIONS } else { key };
        let refused = log_in_by(&server, vec![first], &mut person()).await.err().unwrap();
        assert!(
            matches!(&refused, Error::AuthenticationRefused { remaining } if remaining == last),
            "{refused}"
        );
    });
}

fn a_question_that_nobody_answers_ends_the_login(release: Release) {
    let (server, _) = with_code(release, "AuthenticationMethods keyboard-interactive");
    run(async {
        let mut person = Person::default();
        let ended = log_in_by(&server, vec![QUESTIONS], &mut person).await.err().unwrap();
        let reason = DisconnectReason::AuthCancelledByUser;
        assert!(matches!(&ended, Error::Disconnecting { reason: said, .. } if *said == reason), "{ended}");
        assert_eq!(person.prompts(), [CODE]);
        server.wait_for_log("nobody answered the server's questions");
    });
}

/// A person may take longer than the server waits.
fn a_question_is_taken_back_when_the_server_leaves(release: Release) {
    let (server, _) = with_code(release, "AuthenticationMethods keyboard-interactive\nLoginGraceTime 2");
    run(async {
        let mut person = Person { dawdles: true, ..Person::default() };
        let ended = log_in_by(&server, vec![QUESTIONS], &mut person).await.err().unwrap();
        assert!(matches!(&ended, Error::Closed | Error::Disconnected { .. }), "{ended}");
        assert_eq!(person.prompts(), [CODE]);
    });
}

/// The account's password has expired. The demand comes as questions; whoever does not know an answer stays out.
fn a_new_password_is_demanded_and_not_given(release: Release) {
    let setup = Setup::new(release);
    let stack = "auth required pam_unix.so\naccount required pam_unix.so\npassword required pam_unix.so\n\
                 session required pam_permit.so\n";
    let server = setup.pam(stack, 0).line("AuthenticationMethods keyboard-interactive").start();
    run(async {
        let mut person = Person::answering(&[&[PASSWORD]]);
        let ended = log_in_by(&server, vec![QUESTIONS], &mut person).await.err().unwrap();
        assert!(matches!(&ended, Error::Disconnecting { .. }), "{ended}");
        let prompts = person.prompts();
        assert_eq!(prompts[0], [("Password: ", false)]);
        // Why, and what is wanted first: in the prompt, where a person sees it.
        let [(demand, shown)] = &*prompts[1] else { panic!("{prompts:?}") };
        assert!(demand.contains("change your password") && demand.ends_with("password: "), "{demand}");
        assert!(!shown);
        assert_eq!(prompts.len(), 2);

        // Answered with nothing, the server gives up, and nothing of ours asks again.
        let mut person = Person::answering(&[&[PASSWORD], &[""], &[""], &[""], &[""]]);
        let ended = log_in_by(&server, vec![QUESTIONS], &mut person).await.err().unwrap();
        assert!(matches!(&ended, Error::AuthenticationRefused { .. }), "{ended}");
    });
}

fn a_banner_comes_before_the_questions(release: Release) {
    let setup = Setup::new(release);
    let banner = setup.scratch.write("banner", "Codes only.\n");
    let line = format!("Banner {}\nAuthenticationMethods keyboard-interactive", banner.display());
    let stack = wants_code(&setup.scratch) + ADMITS_EVERYBODY;
    let server = setup.pam(&stack, LONG_AGO).line(line).start();
    run(async {
        let mut person = Person::default();
        let ended = log_in_by(&server, vec![QUESTIONS], &mut person).await.err().unwrap();
        assert!(matches!(&ended, Error::Disconnecting { .. }), "{ended}");
        assert_eq!(person.banners, ["Codes only.\n"]);
    });
}
