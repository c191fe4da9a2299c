//! Logging in with keys and certificates of every kind, held by us or by an ssh-agent.

use hop_e2e::foreign::Software;
use hop_e2e::program::program;
use hop_e2e::sshd::Release;
use hop_e2e::{Foreign, Identity, Run, Scratch};
use hop_keys::{SignatureAlgorithm, load_certificate};
use hop_ssh::auth::Offer;
use hop_ssh::{Algorithms, Error};

use super::client::{Person, config_for, log_in, private, run};
use super::servers::{against, both_releases};
use super::sshd::{Setup, Sshd};

against! {
    sshd_9_2 = Software::Sshd(Release::V9_2) => [logs_in_with_every_kind_of_key];
    sshd_10_0 = Software::Sshd(Release::V10_0) => [logs_in_with_every_kind_of_key];
    dropbear = Software::Dropbear => [logs_in_with_every_kind_of_key];
    tinysshd = Software::Tinysshd => [is_refused_with_kinds_of_keys_that_it_does_not_know];
}

both_releases![
    logs_in_with_every_kind_of_certificate,
    falls_back_to_the_key_when_its_certificate_does_not_do,
    needs_both_of_two_keys,
    signs_host_bound,
    meets_an_older_server_with_the_compatible_offer_only,
    is_shown_the_banner,
];

/// What ssh-keygen makes, and how it is to sign.
const KINDS: [(&str, &[&str], SignatureAlgorithm); 5] = [
    ("ed25519", &[], SignatureAlgorithm::Ed25519),
    ("ecdsa", &["-b", "256"], SignatureAlgorithm::EcdsaNistp256),
    ("ecdsa", &["-b", "384"], SignatureAlgorithm::EcdsaNistp384),
    ("ecdsa", &["-b", "521"], SignatureAlgorithm::EcdsaNistp521),
    ("rsa", &["-b", "2048"], SignatureAlgorithm::RsaSha512),
];

/// One key of each kind.
fn every_kind(scratch: &Scratch) -> Vec<(Identity, SignatureAlgorithm)> {
    let kinds = KINDS.iter().enumerate();
    kinds
        .map(|(n, (kind, options, signature))| {
            (Identity::generate(scratch, &format!("key{n}"), kind, options), *signature)
        })
        .collect()
}

/// Replaces the keys that a server lets in. All of them read the file at each login.
fn let_in(server: &Foreign, software: Software, keys: &[(Identity, SignatureAlgorithm)]) {
    let lines: String = keys.iter().map(|(key, _)| format!("{}\n", key.public)).collect();
    let file = match software {
        Software::Sshd(_) => "authorized_keys",
        Software::Dropbear | Software::Tinysshd => "home/.ssh/authorized_keys",
    };
    std::fs::write(server.scratch().join(file), lines).unwrap();
}

fn logs_in_with_every_kind_of_key(software: Software) {
    let server = Foreign::start(software);
    let keys = every_kind(server.scratch());
    let_in(&server, software, &keys);
    run(async {
        for (key, signature) in &keys {
            let mut person = Person::with(private(key));
            let offers = person.offers();
            let config = config_for(&server);
            let client = log_in(server.address, config, &server.user, offers, &mut person).await;
            let client = client.unwrap_or_else(|e| panic!("{}: {e}", key.public));
            assert_eq!(client.exec("echo in", b"").await.success(), "in\n");
            // dropbear 2022.83 knows RSA with SHA-256 only.
            let wanted = match (software, signature) {
                (Software::Dropbear, SignatureAlgorithm::RsaSha512) => SignatureAlgorithm::RsaSha256,
                (_, signature) => *signature,
            };
            assert_eq!(person.signed, [wanted]);
        }
    });
}

fn is_refused_with_kinds_of_keys_that_it_does_not_know(software: Software) {
    let server = Foreign::start(software);
    let keys = every_kind(server.scratch());
    let_in(&server, software, &keys);
    run(async {
        for (key, signature) in &keys {
            let mut person = Person::with(private(key));
            let offers = person.offers();
            let tried = log_in(server.address, config_for(&server), &server.user, offers, &mut person).await;
            match (signature, tried) {
                (SignatureAlgorithm::Ed25519, Ok(_)) => {}
                (SignatureAlgorithm::Ed25519, Err(error)) => panic!("{error}"),
                (_, Ok(_)) => panic!("{} was let in", key.public),
                (_, Err(error)) => {
                    assert!(matches!(error, Error::AuthenticationRefused { .. }), "{}: {error}", key.public);
                }
            }
        }
    });
}

/// A user CA, and a certificate that it gave to a key for these principals.
fn certify(scratch: &Scratch, ca: &Identity, key: &Identity, principals: &str) -> hop_keys::Identity {
    let public = format!("{}.pub", key.private.display());
    let _ = Run::new(program("ssh-keygen"))
        .args(["-q", "-s"])
        .arg(&ca.private)
        .args(["-I", "a test", "-n", principals, "-V", "-1h:+1h", &public])
        .success();
    let file = format!("{}-cert.pub", key.private.display());
    assert!(file.starts_with(&*scratch.path().to_string_lossy()));
    hop_keys::Identity::Certificate(Box::new(load_certificate(file.as_ref()).unwrap()))
}

/// An sshd that trusts a CA and no key.
fn with_ca(release: Release) -> (Sshd, Identity) {
    let setup = Setup::new(release);
    let ca = Identity::ed25519(&setup.scratch, "user_ca");
    let line = format!("TrustedUserCAKeys {}.pub", ca.private.display());
    (setup.line(line).start(), ca)
}

fn logs_in_with_every_kind_of_certificate(release: Release) {
    let (server, ca) = with_ca(release);
    run(async {
        for (key, signature) in every_kind(&server.scratch) {
            let certificate = certify(&server.scratch, &ca, &key, &format!("nobody,{}", server.user));
            let mut person = Person::with(private(&key));
            let offers = vec![Offer::Key(certificate)];
            let client = log_in(server.address, server.config(), &server.user, offers, &mut person).await;
            let client = client.unwrap_or_else(|e| panic!("{}: {e}", key.public));
            assert_eq!(client.exec("echo in", b"").await.success(), "in\n");
            assert_eq!(person.signed, [signature]);
        }
        assert_eq!(server.count("Accepted certificate ID \"a test\""), 2 * KINDS.len());
    });
}

fn falls_back_to_the_key_when_its_certificate_does_not_do(release: Release) {
    let setup = Setup::new(release);
    let ca = Identity::ed25519(&setup.scratch, "user_ca");
    let key = Identity::ed25519(&setup.scratch, "key");
    let line = format!("TrustedUserCAKeys {}.pub", ca.private.display());
    let server = setup.line(line).allow(&key).start();
    run(async {
        let certificate = certify(&server.scratch, &ca, &key, "somebody-else");
        let mut person = Person::with(private(&key));
        let only_certificate = vec![Offer::Key(certificate)];
        let offers = [only_certificate.clone(), person.offers()].concat();
        let client =
            log_in(server.address, server.config(), &server.user, offers, &mut person).await.unwrap();
        assert_eq!(client.exec("echo in", b"").await.success(), "in\n");
        assert_eq!(person.signed.len(), 1, "the certificate was refused before anything was signed");

        let refused =
            log_in(server.address, server.config(), &server.user, only_certificate, &mut person).await;
        assert!(matches!(refused.err().unwrap(), Error::AuthenticationRefused { .. }));
        assert!(server.log().contains("Certificate invalid: name is not a listed principal"));
    });
}

/// `server-sig-algs` decides how an RSA key signs. (9.2 announces everything, whatever it is told to accept.)
#[test]
fn signs_as_sshd_10_0_announces() {
    let setup = Setup::new(Release::V10_0);
    let key = Identity::generate(&setup.scratch, "key", "rsa", &["-b", "2048"]);
    let server = setup.line("PubkeyAcceptedAlgorithms ssh-ed25519,rsa-sha2-256").allow(&key).start();
    run(async {
        let mut person = Person::with(private(&key));
        let offers = person.offers();
        let logged_in = log_in(server.address, server.config(), &server.user, offers, &mut person).await;
        assert!(logged_in.is_ok());
        assert_eq!(person.signed, [SignatureAlgorithm::RsaSha256]);
    });
}

/// The first key is only a partial success.
fn needs_both_of_two_keys(release: Release) {
    let setup = Setup::new(release);
    let one = Identity::ed25519(&setup.scratch, "one");
    let two = Identity::ed25519(&setup.scratch, "two");
    let server = setup.line("AuthenticationMethods publickey,publickey").allow(&one).allow(&two).start();
    run(async {
        let mut person = Person { keys: vec![private(&one), private(&two)], ..Person::default() };
        let offers = person.offers();
        let client =
            log_in(server.address, server.config(), &server.user, offers, &mut person).await.unwrap();
        assert_eq!(client.exec("echo in", b"").await.success(), "in\n");

        let mut person = Person::with(private(&one));
        let offers = person.offers();
        let refused = log_in(server.address, server.config(), &server.user, offers, &mut person).await;
        assert!(
            matches!(refused.err().unwrap(), Error::AuthenticationRefused { remaining } if remaining == "publickey")
        );
    });
}

/// OpenSSH PROTOCOL 3.1: what we sign names the server's host key, where the server knows of that.
fn signs_host_bound(release: Release) {
    let setup = Setup::new(release);
    let key = Identity::ed25519(&setup.scratch, "key");
    let server = setup.allow(&key).start();
    run(async {
        let mut person = Person::with(private(&key));
        let offers = person.offers();
        log_in(server.address, server.config(), &server.user, offers, &mut person).await.unwrap();
        // The question whether it would do, and the signature.
        let method = "method publickey-hostbound-v00@openssh.com";
        assert_eq!(server.count(method), 2);
        assert_eq!(server.count("method publickey "), 0);
    });
}

/// A server with nothing but what the default offer leaves out.
fn meets_an_older_server_with_the_compatible_offer_only(release: Release) {
    let setup = Setup::new(release);
    let key = Identity::generate(&setup.scratch, "key", "ecdsa", &["-b", "256"]);
    let lines = "KexAlgorithms ecdh-sha2-nistp521\nCiphers aes128-ctr\nMACs hmac-sha2-512";
    let server = setup.line(lines).allow(&key).start();
    run(async {
        let mut person = Person::with(private(&key));
        let offers = person.offers();
        let config = server.config();
        let refused = log_in(server.address, config, &server.user, offers.clone(), &mut person).await;
        let refused = refused.err().unwrap();
        assert!(
            matches!(&refused, Error::NoCommonAlgorithm { theirs, .. } if theirs.contains("ecdh-sha2-nistp521")),
            "{refused}"
        );

        let mut config = server.config();
        config.algorithms = Algorithms::compatible();
        let client = log_in(server.address, config, &server.user, offers, &mut person).await.unwrap();
        assert_eq!(client.exec("cat", &[7; 100_000]).await.stdout, [7; 100_000]);
    });
}

fn is_shown_the_banner(release: Release) {
    let setup = Setup::new(release);
    let key = Identity::ed25519(&setup.scratch, "key");
    let banner = setup.scratch.write("banner", "Maintenance on Friday.\nGrüße\n");
    let line = format!("Banner {}", banner.display());
    let server = setup.line(line).allow(&key).start();
    run(async {
        let mut person = Person::with(private(&key));
        let offers = person.offers();
        log_in(server.address, server.config(), &server.user, offers, &mut person).await.unwrap();
        assert_eq!(person.banners, ["Maintenance on Friday.\nGrüße\n"]);
    });
}
