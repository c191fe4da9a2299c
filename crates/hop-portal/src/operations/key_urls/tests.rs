use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

/// A server of one certificate that answers each connection with `answer`, and counts them.
struct Server {
    port: u16,
    root: Vec<u8>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answer: Vec<u8>) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["keys.example".to_owned()]).unwrap();
        let root = made.cert.der().to_vec();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.fetch_add(1, Ordering::SeqCst);
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut request = [0; 4_096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(&answer).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { port, root, connections }
    }

    /// Every name leads here; `allowed` judges.
    fn keys(&self, allowed: fn(IpAddr) -> bool) -> KeyUrls {
        let resolve: Resolve =
            Arc::new(|_, port| Box::pin(async move { Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]) }));
        KeyUrls::new(vec![self.root.clone()], resolve, allowed).unwrap()
    }

    fn url(&self) -> String {
        format!("https://keys.example:{}/ada.keys", self.port)
    }
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

#[tokio::test]
async fn keys_are_read() {
    let server = Server::start(answer("200 OK", b"ssh-ed25519 AAAA\n")).await;
    assert_eq!(server.keys(|_| true).fetch(&server.url()).await.unwrap(), "ssh-ed25519 AAAA\n");
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_refused_without_a_connection() {
    let server = Server::start(answer("200 OK", b"secret")).await;
    let error = server.keys(is_public).fetch(&server.url()).await.unwrap_err();
    assert!(matches!(error, KeyUrlError::NotPublic { .. }), "{error}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn one_private_address_among_public_ones_is_refused() {
    let server = Server::start(answer("200 OK", b"secret")).await;
    let resolve: Resolve = Arc::new(|_, port| {
        let addresses = [[93, 184, 216, 34], [169, 254, 169, 254]].map(|ip| SocketAddr::from((ip, port)));
        Box::pin(async move { Ok(addresses.to_vec()) })
    });
    let keys = KeyUrls::new(vec![server.root.clone()], resolve, is_public).unwrap();
    let error = keys.fetch(&server.url()).await.unwrap_err();
    assert!(matches!(error, KeyUrlError::NotPublic { .. }), "{error}");
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_connected_to() {
    // A name that leads here once and elsewhere afterwards: were it asked twice, there would be no answer.
    let server = Server::start(answer("200 OK", b"ok")).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolve: Resolve = Arc::new(move |_, port| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let ip = if first { [127, 0, 0, 1] } else { [127, 0, 0, 99] };
        Box::pin(async move { Ok(vec![SocketAddr::from((ip, port))]) })
    });
    let keys = KeyUrls::new(vec![server.root.clone()], resolve, |_| true).unwrap();
    assert_eq!(keys.fetch(&server.url()).await.unwrap(), "ok");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn answers_that_are_not_taken() {
    type Check = fn(&KeyUrlError) -> bool;
    let redirect =
        b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n".to_vec();
    let cases: [(Vec<u8>, Check); 5] = [
        (redirect, |e| matches!(e, KeyUrlError::Redirect { .. })),
        (answer("404 Not Found", b""), |e| matches!(e, KeyUrlError::Status { status: 404, .. })),
        (answer("200 OK", &[b'x'; MOST + 1]), |e| matches!(e, KeyUrlError::Large { .. })),
        (answer("200 OK", &[0xff, 0xfe]), |e| matches!(e, KeyUrlError::NotText { .. })),
        (b"not HTTP at all\r\n\r\n".to_vec(), |e| matches!(e, KeyUrlError::Broken { .. })),
    ];
    for (bytes, check) in cases {
        let server = Server::start(bytes.clone()).await;
        let error = server.keys(|_| true).fetch(&server.url()).await.unwrap_err();
        assert!(check(&error), "{error:?} for {:?}", String::from_utf8_lossy(&bytes[..40.min(bytes.len())]));
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let server = Server::start(answer("200 OK", b"x")).await;
    let url = format!("https://other.example:{}/", server.port);
    let error = server.keys(|_| true).fetch(&url).await.unwrap_err();
    assert!(matches!(error, KeyUrlError::Broken { .. }), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    // A listener whose connections nobody takes; the clock runs ahead while all wait.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(Vec::new()).await;
    let port = listener.local_addr().unwrap().port();
    let keys = server.keys(|_| true);
    tokio::time::pause();
    let error = keys.fetch(&format!("https://keys.example:{port}/")).await.unwrap_err();
    assert!(matches!(error, KeyUrlError::Slow), "{error}");
}

#[test]
fn what_is_a_url() {
    let parsed = Target::parse("https://[2001:db8::1]:8443/a?b=c").unwrap();
    assert_eq!((parsed.host.as_str(), parsed.port, parsed.path.as_str()), ("2001:db8::1", 8443, "/a?b=c"));
    for (url, https) in [
        ("http://example.org/", false),
        ("file:///etc/passwd", false),
        ("ftp://example.org/", false),
        ("https://user@example.org/", true),
        ("https://user:pw@example.org/", true),
        ("https://", true),
        ("example.org", true),
        ("", true),
        ("https://exa mple.org/", true),
    ] {
        let error = Target::parse(url).unwrap_err();
        let is_url = matches!(error, KeyUrlError::Url);
        assert!(is_url || !https && matches!(error, KeyUrlError::NotHttps), "{url}: {error:?}");
    }
}

#[test]
fn public_addresses() {
    for public in ["93.184.216.34", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:2800:220:1::1", "2a00::1"] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
    for private in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:1::1",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!is_public(private.parse().unwrap()), "{private}");
    }
}
