//! What stands before a Hub: TLS of a private CA, a single sign-on, a cap on frames, a limit to silence.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use hop_e2e::hub::{Hub, Options, free_ports};
use hop_e2e::program::{hub_program, hub_proxy, program};
use hop_e2e::run::Background;
use hop_e2e::{Run, Scratch, payload};

use super::ACCESS;

/// The Hub's own proxy program as a front with TLS: its port, and the CA's certificate.
fn tls_front(hub: &Hub) -> (Background, u16, PathBuf) {
    let (authority, certificate, key) = certificates(hub.scratch());
    let [port, api] = free_ports();
    let numbers = [port, api].map(|port| port.to_string());
    let front = Run::new(hub_proxy())
        .args([
            "--ip",
            "127.0.0.1",
            "--port",
            &numbers[0],
            "--api-ip",
            "127.0.0.1",
            "--api-port",
            &numbers[1],
        ])
        .args(["--default-target", &format!("http://127.0.0.1:{}", hub.port())])
        .arg("--ssl-cert")
        .arg(certificate)
        .arg("--ssl-key")
        .arg(key)
        .background();
    front.wait_for("the front", |text| text.contains("Proxying https://").then_some(()));
    (front, port, authority)
}

/// A CA of its own, and a certificate of 127.0.0.1 from it.
fn certificates(scratch: &Scratch) -> (PathBuf, PathBuf, PathBuf) {
    let [ca, ca_key, leaf, leaf_key, request] =
        ["ca.pem", "ca.key", "leaf.pem", "leaf.key", "leaf.csr"].map(|name| scratch.join(name));
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let openssl = || Run::new(program("openssl"));
    let run = openssl().args(["req", "-x509", "-days", "2", "-subj", "/CN=private"]).args(new);
    let _ = run.arg("-keyout").arg(&ca_key).arg("-out").arg(&ca).success();
    let run = openssl().args(["req", "-subj", "/CN=hub"]).args(new);
    let _ = run.arg("-keyout").arg(&leaf_key).arg("-out").arg(&request).success();
    let names = scratch.write("names", "subjectAltName=IP:127.0.0.1\n");
    let run = openssl().args(["x509", "-req", "-days", "2", "-CAcreateserial", "-in"]).arg(request);
    let run = run.arg("-CA").arg(&ca).arg("-CAkey").arg(&ca_key).arg("-extfile").arg(names);
    let _ = run.arg("-out").arg(&leaf).success();
    (ca, leaf, leaf_key)
}

#[test]
fn wss_with_a_private_ca_is_trusted_when_it_is_named() {
    let hub = Hub::start(&Options::default());
    let (_front, port, authority) = tls_front(&hub);
    let url =
        hub.url("").replace(&format!("ws://127.0.0.1:{}", hub.port()), &format!("wss://127.0.0.1:{port}"));
    let token = hub.token(&[ACCESS, "servers!user=alice"]);
    let unknown = hub.hop_proxy(&token, &url);
    let said = hub.openssh("ssh", &unknown).args(["hub", "true"]).status(255).stderr();
    assert!(said.contains("no TLS connection") && said.contains("--ca-file FILE"), "{said}");
    // Named, it is asked over TLS to start the server, too.
    let known = format!(" proxy --start --ca-file {} ", authority.display());
    let command = unknown.replace(" proxy ", &known);
    let said = hub.openssh("ssh", &command).args(["hub", "echo $JUPYTERHUB_USER"]).success();
    assert_eq!(said.stdout(), "alice\n");
    assert!(said.stderr().starts_with("starting the server of alice\n"), "{said}");
    let (from, to) = super::large(&hub);
    let _ = hub.openssh("scp", &command).arg(&from).arg(format!("hub:{}", to.display())).success();
    payload::assert_same(&from, &to);
    // The stock recipe over TLS.
    let token = std::fs::read_to_string(token).unwrap();
    let command = format!(
        "env SSL_CERT_FILE={} {} --binary -H=\"Authorization: token {token}\" asyncstdio: {url}",
        authority.display(),
        hub_program("websocat").display(),
    );
    let said = hub.openssh("ssh", &command).args(["hub", "echo $JUPYTERHUB_USER"]).success();
    assert_eq!(said.stdout(), "alice\n");
}

/// A listener whose connections `serve` gets, until the test ends.
fn front(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// A request's head, to its empty line.
fn head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    head
}

#[test]
fn a_single_sign_on_is_named_and_hears_no_token() {
    let hub = Hub::with_server();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let sign_in = front(move |_stream| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let port = front(move |mut stream| {
        let _ = head(&mut stream);
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{sign_in}/authorize?rd=x\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let url = hub.url("").replace(&hub.port().to_string(), &port.to_string());
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &url).replace(" proxy ", " proxy --start ");
    let said = hub.openssh("ssh", &command).args(["hub", "true"]).status(255).stderr();
    assert!(said.contains(&format!("another sign-in: http://127.0.0.1:{sign_in}/authorize")), "{said}");
    assert!(said.contains("hint: a single sign-on stands before it"), "{said}");
    assert_eq!(asked.load(Ordering::Relaxed), 0, "the token went to another origin");
}

/// Passes bytes to the Hub and back. A client's frame of more than `most` bytes ends the connection with a close of 1009
/// (RFC 6455 section 7.4.1), and so does silence of the Hub for longer than `silence`, without a word.
fn capped(hub: u16, most: u64, silence: Duration) -> u16 {
    front(move |mut client| {
        let mut upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, hub)).unwrap();
        upstream.write_all(&head(&mut client)).unwrap();
        let (mut from_hub, mut to_client) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
        from_hub.set_read_timeout(Some(silence)).unwrap();
        let back = thread::spawn(move || {
            let mut part = [0; 65536];
            while let Ok(count @ 1..) = from_hub.read(&mut part) {
                if to_client.write_all(&part[..count]).is_err() {
                    break;
                }
            }
            let _ = to_client.shutdown(Shutdown::Both);
        });
        if pass_frames(&mut client, &mut upstream, most) == Some(Ended::TooBig) {
            // Fin and close; unmasked, as from a server.
            let words = b"frame too large";
            let close = [&[0x88, 2 + words.len() as u8][..], &1009u16.to_be_bytes(), words].concat();
            client.write_all(&close).unwrap();
            // Until the other side has taken its leave.
            let _ = std::io::copy(&mut client, &mut std::io::sink());
        }
        let _ = upstream.shutdown(Shutdown::Both);
        back.join().unwrap();
    })
}

#[derive(PartialEq)]
enum Ended {
    TooBig,
}

/// Frames of a client, header by header (RFC 6455 section 5.2). `None` when either side is gone.
fn pass_frames(client: &mut TcpStream, upstream: &mut TcpStream, most: u64) -> Option<Ended> {
    loop {
        let mut header = vec![0; 2];
        client.read_exact(&mut header).ok()?;
        let length = match header[1] & 0x7f {
            126 => {
                let mut more = [0; 2];
                client.read_exact(&mut more).ok()?;
                header.extend(more);
                u64::from(u16::from_be_bytes(more))
            }
            127 => {
                let mut more = [0; 8];
                client.read_exact(&mut more).ok()?;
                header.extend(more);
                u64::from_be_bytes(more)
            }
            short => u64::from(short),
        };
        if length > most {
            return Some(Ended::TooBig);
        }
        upstream.write_all(&header).ok()?;
        // The mask's key comes before what it masks.
        std::io::copy(&mut client.take(length + 4), upstream).ok()?;
    }
}

#[test]
fn a_cap_on_frames_is_kept_and_one_that_is_too_small_is_named() {
    let hub = Hub::with_server();
    let token = hub.token(&[ACCESS]);
    let through = |most: u64| {
        let port = capped(hub.port(), most, Duration::from_secs(60));
        hub.hop_proxy(&token, &hub.url("").replace(&hub.port().to_string(), &port.to_string()))
    };
    // The least that is common; our frames are as large as that at most.
    let command = through(64 * 1024);
    let (from, to) = super::large(&hub);
    let up = format!("cat > {}", to.display());
    let _ = hub.openssh("ssh", &command).args(["hub", &up]).stdin_file(&from).success();
    payload::assert_same(&from, &to);
    let command = through(4096);
    let failed = hub.openssh("ssh", &command).args(["hub", &up]).stdin_file(&from).status(255).stderr();
    assert!(failed.contains("frame too large (code 1009)"), "{failed}");
    assert!(failed.contains("hint: a proxy in between takes only small frames"), "{failed}");
}

#[test]
fn a_limit_to_silence_does_not_end_an_idle_session() {
    let server_config = "c.GrasshopperSSH.beat = 1\n".to_owned();
    let hub = Hub::start(&Options { server_config, ..Options::default() });
    hub.start_server("");
    let port = capped(hub.port(), u64::MAX, Duration::from_secs(4));
    let url = hub.url("").replace(&hub.port().to_string(), &port.to_string());
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &url);
    let said = hub.openssh("ssh", &command).args(["hub", "sleep 10; echo still here"]).success();
    assert_eq!(said.stdout(), "still here\n");
}
