//! What goes through.

use crate::support::{answer_with, chance, echo, head, listener, options, target};
use hop_link::{ClientOptions, Close, CloseCode, ConnectError, End, ProxyVariables, Target, Trust, connect};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

async fn exchange<IO: AsyncReadExt + AsyncWriteExt + Unpin>(socket: &mut IO) {
    let sent: Vec<u8> = (0..300_000u32).map(|number| ((number * 31) >> 3) as u8).collect();
    let mut heard = vec![0; sent.len()];
    let (mut reader, mut writer) = tokio::io::split(&mut *socket);
    let writing = async {
        writer.write_all(&sent).await.unwrap();
        writer.flush().await.unwrap();
    };
    tokio::join!(writing, async { reader.read_exact(&mut heard).await.unwrap() });
    assert!(heard == sent);
}

#[tokio::test]
async fn there_and_back_and_goodbye() {
    let (listener, port) = listener().await;
    tokio::spawn(echo(listener, "/user/a/sshd/"));
    for path in ["/user/a/sshd/", "/user/a/sshd"] {
        let mut socket = connect(&target(port, path), &options()).await.unwrap();
        exchange(&mut socket).await;
        socket.shutdown().await.unwrap();
        assert_eq!(socket.read(&mut [0; 10]).await.unwrap(), 0);
        assert_eq!(
            socket.end(),
            Some(&End::Closed(Close { code: CloseCode::Normal, reason: String::new() }))
        );
    }
}

/// A CA of its own, and a server's certificate by it for `hub.test`.
fn certificates() -> (String, ServerConfig) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    (ca_certificate.pem(), config)
}

#[tokio::test]
async fn tls_by_a_private_ca() {
    let (ca, config) = certificates();
    let (listener, port) = listener().await;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let mut socket = hop_link::accept(stream, &hop_link::Door::default()).await.unwrap();
            let mut bytes = [0; 5];
            socket.read_exact(&mut bytes).await.unwrap();
            socket.write_all(&bytes).await.unwrap();
            socket.shutdown().await.unwrap();
        }
    });
    let secure = Target::parse(&format!("wss://localhost:{port}/")).unwrap();
    let trusting = ClientOptions { trust: Some(Trust::system(Some(ca.as_bytes())).unwrap()), ..options() };
    let mut socket = connect(&secure, &trusting).await.unwrap();
    socket.write_all(b"hello").await.unwrap();
    socket.flush().await.unwrap();
    let mut heard = Vec::new();
    socket.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"hello");

    let (other, _) = certificates();
    let stranger = ClientOptions { trust: Some(Trust::system(Some(other.as_bytes())).unwrap()), ..options() };
    let error = connect(&secure, &stranger).await.unwrap_err();
    assert!(error.is_certificate(), "{error}");
    assert!(matches!(connect(&secure, &options()).await, Err(ConnectError::NoTrust { .. })));
}

#[tokio::test]
async fn a_front_end_that_speaks_http2_only_is_told_apart() {
    let (ca, mut config) = certificates();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (listener, port) = listener().await;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _refused = acceptor.accept(stream).await;
    });
    let secure = Target::parse(&format!("wss://localhost:{port}/")).unwrap();
    let trusting = ClientOptions { trust: Some(Trust::system(Some(ca.as_bytes())).unwrap()), ..options() };
    let error = connect(&secure, &trusting).await.unwrap_err();
    assert!(error.is_http2_only(), "{error}");
}

#[tokio::test]
async fn through_a_proxy_that_wants_a_password() {
    let (listener_there, port) = listener().await;
    tokio::spawn(echo(listener_there, "/"));
    let (listener_proxy, proxy_port) = listener().await;
    let proxy = tokio::spawn(async move {
        let (mut client, _) = listener_proxy.accept().await.unwrap();
        let head = head(&mut client).await;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        // The name is for the proxy to resolve.
        let mut there = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let _ended = copy_bidirectional(&mut client, &mut there).await;
        head
    });
    let variables = ProxyVariables {
        http: Some(format!("http://us%40er:pass@127.0.0.1:{proxy_port}")),
        ..ProxyVariables::default()
    };
    let options = ClientOptions { proxies: variables, ..options() };
    let named = Target::parse(&format!("ws://hub.test:{port}/")).unwrap();
    let mut socket = connect(&named, &options).await.unwrap();
    exchange(&mut socket).await;
    drop(socket);
    let head = proxy.await.unwrap();
    assert!(head.starts_with(&format!("CONNECT hub.test:{port} HTTP/1.1\r\n")), "{head}");
    assert!(head.contains("proxy-authorization: Basic dXNAZXI6cGFzcw==\r\n"), "{head}");
    assert!(!head.contains("abc123"), "the token is not for the proxy: {head}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let (listener, port) = listener().await;
    let answer = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n".to_owned();
    tokio::spawn(answer_with(listener, vec![answer]));
    let variables = ProxyVariables { all: Some(format!("127.0.0.1:{port}")), ..ProxyVariables::default() };
    let options = ClientOptions { proxies: variables, ..options() };
    let error = connect(&Target::parse("ws://hub.test/").unwrap(), &options).await.unwrap_err();
    assert!(matches!(error, ConnectError::ProxyRefused { status: 407, .. }), "{error}");
}

#[tokio::test]
async fn chance_is_asked_for_every_mask() {
    let mut bytes = [0; 4];
    chance(&mut bytes);
    assert_eq!(bytes, [0x2a; 4]);
    let (listener, port) = listener().await;
    let raw = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        assert!(head.contains("sec-websocket-key: KioqKioqKioqKioqKioqKg==\r\n"), "{head}");
        assert!(head.contains("authorization: token abc123\r\n"), "{head}");
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-accept: pT25h6EVFbWDyyinkmTBvzUVxQo=\r\n\r\n\x82\x02hi",
            )
            .await
            .unwrap();
        let mut frame = [0; 8];
        stream.read_exact(&mut frame).await.unwrap();
        frame
    });
    let connected = connect(&target(port, "/"), &options()).await;
    let mut socket = connected.unwrap();
    // What came together with the answer is not lost.
    let mut heard = [0; 2];
    socket.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hi");
    socket.write_all(b"ab").await.unwrap();
    socket.flush().await.unwrap();
    assert_eq!(raw.await.unwrap(), [0x82, 0x82, 0x2a, 0x2a, 0x2a, 0x2a, b'a' ^ 0x2a, b'b' ^ 0x2a]);
}
