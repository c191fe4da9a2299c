//! What holds for every request: hosts, other sites' forms, sizes, times, headers, TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hop_portal::{Cidr, Limits, Portal, PortalConfig, PublicNames, ServeError, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;

use crate::served::{Environments, Served, Setup};
use crate::site::Site;
use crate::visit::Visit;

#[tokio::test]
async fn every_answer_has_its_walls() {
    let served = Served::new().await;
    let (_, _, mut ada) = served.person("ada").await;
    let mut visitor = served.visit();
    let mut answers = vec![
        ("sign-in", visitor.get("/sign-in").await),
        ("nothing there", visitor.get("/nothing").await),
        ("a redirect", visitor.get("/keys").await),
        ("wrong host", visitor.ask("GET", "/", &[("Host".into(), "evil.example".into())], "").await),
        ("a page", ada.get("/keys").await),
        ("wrong method", visitor.post("/keys/x/y/z", &[]).await),
    ];
    let style = answers[0].1.body.split('"').find(|part| part.ends_with("style.css")).unwrap().to_owned();
    answers.push(("an asset", visitor.get(&style).await));
    for (what, answer) in &answers {
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{what}: no policy"));
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{what}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{what}");
        }
        let cache = answer.header("cache-control").unwrap();
        assert_eq!(cache == "no-store", *what != "an asset", "{what}: {cache}");
        assert_eq!(answer.header("strict-transport-security"), None);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn pages_hold_no_script_and_no_style_of_their_own() {
    let served = Served::new().await;
    let (ada, _, mut visit) = served.person("ada").await;
    let project = served.site.project(ada, "climate").await;
    for path in ["/projects", "/keys", "/account", &format!("/projects/{project}"), "/nothing"] {
        let page = visit.get(path).await;
        page.says("<main")
            .says_not("style=\"")
            .says_not("<style")
            .says_not("onclick")
            .says_not("javascript:");
        for script in page.body.match_indices("<script").map(|(at, _)| &page.body[at..]) {
            assert!(script.starts_with("<script src=\"/assets/"), "{path}: {script:.80}");
        }
    }
}

#[tokio::test]
async fn only_the_public_host_is_answered() {
    let served = Served::new().await;
    let mut visit = served.visit();
    for host in ["evil.example", "localhost", &format!("evil.example:{}", served.address.port()), ""] {
        let answer = visit.ask("GET", "/sign-in", &[("Host".into(), host.into())], "").await;
        assert!([421, 400].contains(&answer.status), "{host}: {}", answer.status);
        answer.says_not("password");
    }
    let answer = visit.ask("GET", "/sign-in", &[], "").await;
    assert!([421, 400].contains(&answer.status), "{}", answer.status);
}

#[tokio::test]
async fn no_other_sites_form_changes_anything() {
    let served = Served::new().await;
    let (ada, _, mut visit) = served.person("ada").await;
    let key = served.site.key(ada).await;
    let remove = format!("/keys/{key}/remove");
    let project = served.site.project(ada, "").await;
    let paths = [
        remove.clone(),
        "/keys".into(),
        "/projects".into(),
        "/sign-out".into(),
        "/account/password".into(),
        "/account/sessions/end".into(),
        "/sign-in".into(),
        format!("/projects/{project}/remove"),
        format!("/projects/{project}/start"),
        format!("/projects/{project}/members"),
    ];
    let before = served.site.actions().await;
    let evil: &[&[(&str, &str)]] = &[
        &[],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", served.names.origin())],
    ];
    for path in &paths {
        for headers in evil {
            let headers = visit.headers(headers);
            let answer = visit.clone().post_with(path, &[("name", "eve"), ("title", "x")], &headers).await;
            assert_eq!(answer.status, 403, "{path} {headers:?}");
        }
        // And reading never changes anything.
        let status = visit.get(path).await.status;
        assert!([200, 303, 405, 404].contains(&status), "{path}: {status}");
    }
    assert_eq!(served.site.actions().await, before);
    let headers = visit.headers(&[("Origin", served.names.origin())]);
    assert_eq!(visit.post_with(&remove, &[], &headers).await.status, 303);
}

#[tokio::test]
async fn large_bodies_and_headers_are_refused() {
    let served = Served::new().await;
    let (_, _, mut visit) = served.person("ada").await;
    let large = "x".repeat(300_000);
    let answer = visit.post("/keys", &[("key", &large)]).await;
    assert_eq!(answer.status, 413);
    let many = visit.headers(&[("X-Large", &"x".repeat(40_000))]);
    let answer = visit.ask("GET", "/keys", &many, "").await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_headers_is_cut_off() {
    let served = Served::new().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    // Only then the clock runs ahead: all others wait for it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::time::pause();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "still open after a minute");
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let limits = Limits { connections_per_address: 3, ..Limits::default() };
    let served = Served::with(Setup { limits, ..Setup::default() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(served.address).await.unwrap());
    }
    let mut next = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(next.read(&mut [0; 1]).await.unwrap_or(0), 0, "the fourth is closed");
    drop(held);
    // The places are free when the server has seen the ends.
    let answered = async {
        loop {
            let mut visit = served.visit();
            if visit.get("/sign-in").await.status == 200 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answered).await.unwrap();
}

#[tokio::test]
async fn beyond_loopback_it_does_not_serve_in_the_clear() {
    let site = Site::new().await;
    let portal = |behind_proxy: Vec<Cidr>| {
        Portal::new(PortalConfig {
            operations: site.operations.clone(),
            environments: Arc::new(Environments::default()),
            key_urls: None,
            names: PublicNames::parse("https://hop.example", "hop.example", 22, Vec::new()).unwrap(),
            limits: Limits::default(),
            behind_proxy,
            tls: None,
            ssh: None,
        })
    };
    let open: SocketAddr = "0.0.0.0:0".parse().unwrap();
    assert!(portal(Vec::new()).check_address(open).is_err());
    let listener = TcpListener::bind(open).await.unwrap();
    let error = portal(Vec::new()).serve(listener, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ServeError::Exposed(error) if error.hint().contains("--behind-proxy")));
    assert!(portal(vec![Cidr::parse("10.0.0.0/8").unwrap()]).check_address(open).is_ok());
}

#[tokio::test]
async fn behind_a_proxy_the_address_is_the_one_it_tells() {
    let behind_proxy = vec![Cidr::parse("127.0.0.1").unwrap()];
    let url = Some("https://hop.example".to_owned());
    let served = Served::with(Setup { behind_proxy, url, ..Setup::default() }).await;
    let (ada, by_ada) = served.site.account("ada").await;
    let mut visit = served.signed_in(ada).await;
    assert!(visit.cookie.as_ref().unwrap().starts_with("__Host-hop="), "{:?}", visit.cookie);
    served.site.pass(Duration::from_secs(1));
    let headers = visit.headers(&[("X-Forwarded-For", "203.0.113.9, 198.51.100.77")]);
    let page = visit.ask("GET", "/account", &headers, "").await;
    page.says("198.51.100.77").says_not("203.0.113.9");
    assert_eq!(page.header("strict-transport-security"), Some("max-age=31536000"));
    let sessions = served.site.operations.web_sessions(&by_ada).await.unwrap();
    assert_eq!(sessions[0].address, Some([198, 51, 100, 77].into()));
}

#[tokio::test]
async fn it_speaks_tls_itself() {
    let made = rcgen::generate_simple_self_signed(vec!["hop.example".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    assert!(Tls::from_pem(b"", key.as_bytes()).is_err());
    assert!(Tls::from_pem(chain.as_bytes(), b"").is_err());
    let other = rcgen::generate_simple_self_signed(vec!["hop.example".to_owned()]).unwrap();
    assert!(Tls::from_pem(chain.as_bytes(), other.signing_key.serialize_pem().as_bytes()).is_err());
    let tls = Some(Tls::from_pem(chain.as_bytes(), key.as_bytes()).unwrap());
    let url = Some("https://hop.example".to_owned());
    let served = Served::with(Setup { tls, url, ..Setup::default() }).await;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(served.address).await.unwrap();
    let name = "hop.example".try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let mut visit = Visit::new(served.address, "hop.example");
    let headers = visit.headers(&[]);
    let page = visit.ask_on(stream, "GET", "/sign-in", &headers, "").await;
    assert_eq!(page.status, 200);
    assert!(page.header("strict-transport-security").is_some());
}

#[tokio::test]
async fn stopping_lets_a_request_end_and_closes_idle_connections() {
    let served = Served::new().await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    let host = served.names.origin().split_once("//").unwrap().1;
    let request = format!("GET /sign-in HTTP/1.1\r\nHost: {host}\r\n\r\n");
    idle.write_all(request.as_bytes()).await.unwrap();
    assert!(idle.read(&mut [0; 1]).await.unwrap() > 0, "answered and kept open");
    served.stop();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "an idle connection holds up the end");
}
