//! Whose host keys we believe, and what we learn about a server's other ones.

use hop_e2e::program::program;
use hop_e2e::sshd::Release;
use hop_e2e::{Identity, Run};
use hop_keys::{KnownHosts, PublicKey};
use hop_ssh::connection::GlobalRequest;
use hop_ssh::driver::Incoming;
use hop_ssh::{Error, RekeyLimits};

use super::client::{Client, Person, connect, judged_by, log_in, run};
use super::servers::both_releases;
use super::sshd::{Setup, Sshd};

both_releases![
    believes_a_certificate_of_the_right_ca_for_the_right_name_only,
    tells_the_server_why_its_key_is_refused,
    asks_first_for_the_kind_of_key_on_record,
    gets_proofs_of_all_announced_keys,
];

/// The name by which the server is known; it is reached at another.
const NAME: &str = "login.example.org";

fn believes_a_certificate_of_the_right_ca_for_the_right_name_only(release: Release) {
    let setup = Setup::new(release);
    let (ca, other_ca) =
        (Identity::ed25519(&setup.scratch, "host_ca"), Identity::ed25519(&setup.scratch, "other_ca"));
    let certificate = setup.scratch.join("host_key-cert.pub");
    let server = setup.line(format!("HostCertificate {}", certificate.display())).start();
    // sshd reads it for each connection.
    let certify = |principals: &str, validity: &str| {
        let _ = Run::new(program("ssh-keygen"))
            .args(["-q", "-h", "-s"])
            .arg(&ca.private)
            .args(["-I", "host", "-n", principals, "-V", validity])
            .arg(format!("{}.pub", server.host_key.private.display()))
            .success();
    };
    let trusts = |ca: &Identity| format!("@cert-authority *.example.org {}\n", ca.public_without_comment());
    let (now, over) = ("-1h:+1h", "-2h:-1h");
    let both = format!("other.example.org,{NAME}");
    let revoked = format!("{}@revoked * {}\n", trusts(&ca), ca.public_without_comment());
    let plain = format!("{NAME} {}\n", server.host_key.public_without_comment());
    // (what the certificate says, known_hosts, the word in the verdict; none when it is believed)
    let cases: [(&str, &str, &str, Option<&str>); 7] = [
        (&both, now, &trusts(&ca), None),
        (NAME, now, &trusts(&other_ca), Some("UntrustedCa")),
        ("other.example.org", now, &trusts(&ca), Some("PrincipalMismatch")),
        (NAME, over, &trusts(&ca), Some("Expired")),
        (NAME, now, &revoked, Some("Revoked")),
        // A certificate that says nothing to us is still the key that it certifies.
        (NAME, now, &plain, None),
        (NAME, now, "", Some("Unknown")),
    ];
    run(async {
        for (principals, validity, known, wanted) in cases {
            certify(principals, validity);
            let judged = connect(server.address, judged_by(known, NAME, 22)).await;
            match (wanted, judged) {
                (None, Ok(login)) => {
                    let key = login.transport().host_key().unwrap();
                    assert_eq!(key.identity().as_certificate().unwrap().key_id(), "host");
                }
                (Some(word), Err(Error::HostKeyRejected { problem, .. })) => {
                    assert!(problem.contains(word), "{known}: {problem}");
                }
                (_, other) => panic!("{principals} {validity} {known}: {:?}", other.err()),
            }
        }
    });
}

/// What the server reads in its log: not "connection reset".
fn tells_the_server_why_its_key_is_refused(release: Release) {
    let server = Setup::new(release).start();
    run(async {
        let refused = connect(server.address, judged_by("", NAME, 22)).await.err().unwrap();
        assert!(matches!(refused, Error::HostKeyRejected { .. }));
    });
    server.wait_for_log("was not accepted: Unknown");
}

/// A server has two keys and we know one of them: asking for the other would look like an attack.
fn asks_first_for_the_kind_of_key_on_record(release: Release) {
    let (server, rsa) = with_more_keys(release);
    let known = format!("{NAME} {}\n", rsa.public_without_comment());
    run(async {
        let refused = connect(server.address, judged_by(&known, NAME, 22)).await.err().unwrap();
        assert!(
            matches!(&refused, Error::HostKeyRejected { problem, .. } if problem.starts_with("Changed")),
            "{refused}"
        );

        let mut hosts = KnownHosts::new();
        assert_eq!(hosts.add("known_hosts".as_ref(), known.as_bytes()), []);
        let mut config = judged_by(&known, NAME, 22);
        let order = hosts.order(NAME, 22, config.algorithms.host_keys());
        config.algorithms = config.algorithms.with_host_keys(&order);
        let login = connect(server.address, config).await.unwrap();
        let key = login.transport().host_key().unwrap();
        assert_eq!(key.identity().blob(), blob(&rsa));
    });
}

fn blob(key: &Identity) -> Vec<u8> {
    PublicKey::parse_line(&key.public).unwrap().0.blob().to_vec()
}

/// An sshd with an Ed25519, an RSA and an ECDSA host key; the RSA key. A `user_key` may log in.
fn with_more_keys(release: Release) -> (Sshd, Identity) {
    let setup = Setup::new(release);
    let rsa = Identity::generate(&setup.scratch, "host_rsa", "rsa", &["-b", "2048"]);
    let ecdsa = Identity::generate(&setup.scratch, "host_ecdsa", "ecdsa", &["-b", "256"]);
    let user = Identity::ed25519(&setup.scratch, "user_key");
    let lines = format!("HostKey {}\nHostKey {}", rsa.private.display(), ecdsa.private.display());
    (setup.line(lines).allow(&user).start(), rsa)
}

async fn announced(client: &mut Client) -> Vec<Vec<u8>> {
    match client.arrivals.next().await.unwrap() {
        Incoming::Request(request) => match request.request() {
            GlobalRequest::HostKeys(keys) => keys.clone(),
            other => panic!("{other:?}"),
        },
        Incoming::Open(open) => panic!("{:?}", open.kind()),
    }
}

/// OpenSSH PROTOCOL 2.5. The proofs cover the session identifier, which stays when keys are replaced.
fn gets_proofs_of_all_announced_keys(release: Release) {
    let (server, rsa) = with_more_keys(release);
    run(async {
        let user = hop_keys::load_private_key(&server.scratch.join("user_key"), None).unwrap();
        let mut person = Person::with(user);
        let offers = person.offers();
        let mut config = server.config();
        config.rekey = RekeyLimits { bytes: Some(100_000), ..RekeyLimits::default() };
        let mut client = log_in(server.address, config, &server.user, offers, &mut person).await.unwrap();
        let announced = announced(&mut client).await;
        assert_eq!(announced.len(), 3);
        for known in [blob(&server.host_key), blob(&rsa)] {
            assert!(announced.contains(&known));
        }
        let assert_proven = async || {
            let proven = client.connection.prove_host_keys(&announced).await.unwrap();
            assert!(proven.iter().map(PublicKey::blob).eq(announced.iter().map(Vec::as_slice)));
        };
        assert_proven().await;
        assert_eq!(client.exec("cat", &[1; 500_000]).await.stdout.len(), 500_000);
        assert_proven().await;

        // Kinds that we do not know are not asked about; a key that the server does not have proves nothing.
        let unknown = [&[0, 0, 0, 3][..], b"new"].concat();
        assert_eq!(client.connection.prove_host_keys(&[unknown]).await.unwrap(), []);
        let stranger = Identity::ed25519(&server.scratch, "stranger");
        assert_eq!(client.connection.prove_host_keys(&[blob(&stranger)]).await, None);
    });
}
