//! The traps that need what no site's settings say: limits of keys, load balancers, a CA of the test's own. The others
//! run through a whole site (`cargo xtask test`).

use crate::site::{FIRST, Options, Site, now, output, text};
use hop_gateway::UserCa;
use hop_keys::{
    CertificateBuilder, CertificateKind, KeyAlgorithm, PrivateKey, SignatureAlgorithm, SourceAddresses,
};
use hop_ssh::wire::Put;
use hop_ssh::{RekeyLimits, message};
use hop_store::{NewCertificate, Timestamp};
use hop_testkit::RawPeer;
use hop_testkit::raw::userauth::{self, Proof};
use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// 24 MiB there and back at once; first the client replaces keys every 2 MB, then the gateway alone every 3 MB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_gateway_replaces_keys_while_data_flows_both_ways() {
    let rekey = RekeyLimits { bytes: Some(3_000_000), ..RekeyLimits::default() };
    let site = Site::start_with(Options { rekey, ..Options::default() }).await;
    let original: Vec<u8> = (0..24_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (limit, least) in [("2M", 11), ("default", 6)] {
        let words = ["-v", "-o", &format!("RekeyLimit={limit}"), &format!("{FIRST}@gateway"), "cat"];
        let mut client = site.running("ssh", &site.ada, &words);
        let mut input = client.stdin.take().unwrap();
        let sent = original.clone();
        let writing = std::thread::spawn(move || input.write_all(&sent).unwrap());
        let done = tokio::task::spawn_blocking(move || client.wait_with_output().unwrap());
        let done = tokio::time::timeout(Duration::from_secs(120), done).await.expect("it hangs").unwrap();
        writing.join().unwrap();
        assert!(done.stdout == original, "{} bytes came back, or others", done.stdout.len());
        let rekeys = text(&done.stderr).matches("SSH2_MSG_NEWKEYS received").count();
        eprintln!("RekeyLimit {limit}: {rekeys} key exchanges");
        assert!(rekeys >= least, "only {rekeys} key exchanges at RekeyLimit {limit}");
    }
}

/// A load balancer: puts a header before each connection's bytes.
async fn balancer(to: SocketAddr, header: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let header = header.clone();
            tokio::spawn(async move {
                let mut gateway = TcpStream::connect(to).await.unwrap();
                gateway.write_all(&header).await.unwrap();
                // Whichever end leaves first is what the test sees.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut gateway).await;
            });
        }
    });
    address
}

fn version_1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 198.51.100.1 4711 22\r\n").into_bytes()
}

fn version_2(client: &str) -> Vec<u8> {
    let client: std::net::Ipv4Addr = client.parse().unwrap();
    [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f"[..],
        &client.octets(),
        &[198, 51, 100, 1, 18, 103, 0, 22, 4, 0, 0],
    ]
    .concat()
}

#[tokio::test]
async fn trap_21_gateway_believes_balancers_and_nobody_else_about_where_clients_are() {
    let balancers = Some(SourceAddresses::parse("127.0.0.1/32").unwrap());
    let site = Site::start_with(Options { proxies: balancers, ..Options::default() }).await;
    for (header, client) in [(version_1("192.0.2.7"), "192.0.2.7"), (version_2("203.0.113.9"), "203.0.113.9")]
    {
        let at = balancer(site.address, header).await;
        let port = format!("Port={}", at.port());
        let to = format!("{FIRST}@gateway");
        let done = site.ssh_words(&site.ada, &["-o", &port, &to, "echo $SSH_CONNECTION"]).await;
        let told = text(&done.stdout);
        assert_eq!(told, format!("{client} 4711 198.51.100.1 22\n"), "{}", text(&done.stderr));
        let sessions = site.sessions_of(site.first).await;
        assert!(sessions.iter().any(|session| session.client.ip().to_string() == client), "{sessions:?}");
    }
    // Without a header, or with something else, there is no SSH.
    let hears = async |bytes: &[u8]| {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut heard = Vec::new();
        let all = stream.read_to_end(&mut heard);
        // It may be cut with a reset.
        let _ = tokio::time::timeout(Duration::from_secs(20), all).await.expect("it is held");
        heard
    };
    for bytes in
        [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n", b"PROXY UNK"]
    {
        assert_eq!(text(&hears(bytes).await), "", "{}", text(bytes));
    }
    // The balancer's own looks at our health are its own.
    let mut health = TcpStream::connect(site.address).await.unwrap();
    health.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
    let mut begin = [0; 8];
    health.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"SSH-2.0-");
}

#[tokio::test]
async fn trap_21_gateway_does_not_believe_a_client_that_calls_itself_a_balancer() {
    let elsewhere = Some(SourceAddresses::parse("10.0.0.0/8").unwrap());
    for proxies in [None, elsewhere] {
        let site = Site::start_with(Options { proxies, ..Options::default() }).await;
        let at = balancer(site.address, version_1("192.0.2.7")).await;
        let mut words = vec!["-o".to_owned(), format!("Port={}", at.port())];
        words.extend([format!("{FIRST}@gateway"), "true".to_owned()]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let done = site.ssh_words(&site.ada, &words).await;
        assert_eq!(done.status.code(), Some(255), "{}", text(&done.stderr));
        // Without the header it is served, and by its own address.
        let done = site.ssh(&site.ada, FIRST, &["echo $SSH_CONNECTION"]).await;
        assert!(text(&done.stdout).starts_with("127.0.0.1 "), "{}", text(&done.stderr));
    }
}

/// A CA of the test's own, and the holder of certificates.
struct Trust {
    site: Site,
    ca: PrivateKey,
    holder: PrivateKey,
    serial: u64,
}

impl Trust {
    /// A certificate that is on record and says anything: made properly, then its text changed and signed anew.
    async fn certificate(&mut self, principal: &str, change: Option<(&str, &str)>) -> Vec<u8> {
        self.serial += 1;
        let made = CertificateBuilder::new(
            CertificateKind::User,
            self.holder.public().clone(),
            "a key id",
            &[principal],
            0,
            u64::MAX,
        );
        let unsigned = made.unwrap().serial(self.serial).unsigned(self.ca.public()).unwrap();
        let mut blob = unsigned.to_be_signed().to_vec();
        if let Some((old, new)) = change {
            assert_eq!(old.len(), new.len(), "the length stays");
            let at = blob.windows(old.len()).position(|part| part == old.as_bytes()).expect("it is in there");
            for (place, byte) in blob.iter_mut().skip(at).zip(new.bytes()) {
                *place = byte;
            }
        }
        let signature = self.ca.sign(SignatureAlgorithm::Ed25519, &blob).unwrap();
        blob.put_string(signature);
        let mut change = self.site.change().await;
        let new = NewCertificate {
            serial: self.serial,
            account: self.site.ada.account,
            fingerprint: self.holder.public().fingerprint(),
            expires: Timestamp::from_seconds(now().as_seconds() + 900),
        };
        change.certificates().add(&new).await.unwrap();
        change.commit().await.unwrap();
        blob
    }

    /// Whether this gets in, by a signature with `key`.
    async fn admits(&self, algorithm: &'static str, blob: Vec<u8>, key: &PrivateKey) -> bool {
        let address = self.site.address;
        let key = PrivateKey::from_openssh(&key.to_openssh(""), None).unwrap();
        let asking = move || {
            let mut raw = RawPeer::connect(address, "Raw_1");
            raw.send(&userauth::service_request());
            raw.expect(message::SERVICE_ACCEPT);
            let session = raw.binding().session_id().to_vec();
            let proof = Proof { algorithm, blob: &blob, key: &key, session: &session, host_key: None };
            raw.send(&userauth::signed(FIRST, &proof));
            loop {
                match raw.message().first() {
                    Some(&message::USERAUTH_SUCCESS) => return true,
                    Some(&message::USERAUTH_FAILURE) => return false,
                    // A project that starts is announced.
                    Some(&message::USERAUTH_BANNER) => {}
                    other => panic!("neither yes nor no: {other:?}"),
                }
            }
        };
        tokio::task::spawn_blocking(asking).await.unwrap()
    }
}

const CERTIFICATE: &str = "ssh-ed25519-cert-v01@openssh.com";

#[tokio::test]
async fn trap_24_gateway_believes_certificates_for_what_they_say() {
    let [ca, holder] = [(); 2].map(|()| PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap());
    let user_ca = UserCa { keys: vec![ca.public().clone()], ..UserCa::default() };
    let site = Site::start_with(Options { user_ca, ..Options::default() }).await;
    let mut trust = Trust { site, ca, holder, serial: 0 };
    let ada = format!("person:{}", trust.site.ada.account);
    let good = trust.certificate(&ada, None).await;
    assert!(trust.admits(CERTIFICATE, good.clone(), &trust.holder).await, "a certificate that is fine");

    // The CA signs certificates; its key opens nothing, whether called a key or a certificate.
    let ca = trust.ca.public().blob().to_vec();
    assert!(!trust.admits("ssh-ed25519", ca, &trust.ca).await, "the CA's key as a user's");
    let own = trust.holder.public().blob().to_vec();
    assert!(!trust.admits("ssh-ed25519", own, &trust.holder).await, "the key without its certificate");
    assert!(!trust.admits(CERTIFICATE, good, &trust.ca).await, "another key's signature");

    // No principals is nobody, not everybody. ssh-keygen makes such certificates, our builder refuses to.
    let file = |name: &str| trust.site.directory.path().join(name);
    std::fs::write(file("ca"), trust.ca.to_openssh("ca").as_bytes()).unwrap();
    std::fs::set_permissions(file("ca"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(file("bare.pub"), trust.holder.public().to_line("bare")).unwrap();
    let mut keygen = std::process::Command::new("ssh-keygen");
    // With the number of the certificate that is on record.
    keygen.args(["-q", "-I", "bare", "-z", "1", "-s"]).arg(file("ca")).arg(file("bare.pub"));
    let made = output({
        keygen.stdin(Stdio::null());
        keygen
    })
    .await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    let bare = hop_keys::load_certificate(&file("bare-cert.pub")).unwrap();
    assert!(bare.principals().is_empty() && bare.serial() == 1);
    assert!(!trust.admits(CERTIFICATE, bare.blob().to_vec(), &trust.holder).await, "no principals");

    // A comma is part of a name, which then is nobody's; so is a blank or a wildcard.
    for (old, new) in [("x:person:", "x,person:"), ("x:person:", "x person:"), ("x:person:", "*,person:")] {
        let blob = trust.certificate(&format!("x:{ada}"), Some((old, new))).await;
        assert!(!trust.admits(CERTIFICATE, blob, &trust.holder).await, "principal {new}…");
    }

    // Its text is for records and logs, where it cannot give orders to a terminal.
    let blob = trust.certificate(&ada, Some(("a key id", "a\u{1b}[31m\nb"))).await;
    assert!(trust.admits(CERTIFICATE, blob, &trust.holder).await, "a key id of odd letters");
    let sessions = trust.site.sessions_of(trust.site.first).await;
    let last = sessions.first().unwrap();
    assert!(!last.key_title.contains(['\u{1b}', '\n']), "{:?}", last.key_title);
}
