//! A project whose network is the site's proxy.

use crate::site::{Site, folder, key, settings};
use hop_env::Network;
use hop_env::socket::SocketAccess;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

fn serve(socket: &Path) -> CancellationToken {
    let listener = hop_env::socket::bind(socket, SocketAccess { mode: 0o666, owner: None }).unwrap();
    listener.set_nonblocking(true).unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(hop_env::proxy::serve(UnixListener::from_std(listener).unwrap(), stop.clone()));
    stop
}

#[tokio::test]
async fn programs_inside_find_the_proxy_and_nothing_else() {
    let folder = folder();
    let mut settings = settings(folder.path()).await;
    let socket = folder.path().join("site-run/proxy.sock");
    std::fs::DirBuilder::new().mode(0o711).create(socket.parent().unwrap()).unwrap();
    let first = serve(&socket);
    settings.network = Network::Proxy { socket: socket.clone() };
    let site = Site::serve(folder, settings);
    // Its port is the real one.
    site.run(&key(1), "true").await;
    let hop = site.home(&key(1)).join("real-hop");
    std::fs::copy(hop_e2e::server::hop_binary(), &hop).unwrap();
    std::fs::set_permissions(&hop, std::fs::Permissions::from_mode(0o755)).unwrap();
    site.environments.stop(&key(1)).await.unwrap();
    let portal = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = portal.local_addr().unwrap().port();
    assert_eq!(
        site.run(&key(1), "echo $HTTPS_PROXY $no_proxy").await,
        "http://127.0.0.1:3128 localhost,127.0.0.1,::1\n"
    );
    // Through the port, the socket, and the site, which refuses its own machine; and around it there is no way.
    let curl = |words: &str| {
        format!("curl -sS --max-time 20 --retry 20 --retry-connrefused --retry-delay 0 {words} 2>&1")
    };
    for words in [
        format!("--noproxy '' -w '%{{http_code}}' http://127.0.0.1:{port}/"),
        "-w '%{http_code}' http://169.254.169.254/latest/meta-data".to_owned(),
    ] {
        let said = site.run(&key(1), &curl(&words)).await;
        assert!(said.contains("is not a public address") && said.ends_with("403"), "{words}: {said}");
    }
    // The site comes back with another socket of the same name; the project goes on.
    first.cancel();
    let _second = serve(&socket);
    let said = site.run(&key(1), &curl("https://10.0.0.1/")).await;
    assert!(said.contains("403"), "{said}");
    let said = site.run(&key(1), "curl -sS --max-time 5 --noproxy '*' http://10.0.0.1/ 2>&1").await;
    assert!(said.contains("curl: (7)"), "{said}");
    portal.set_nonblocking(true).unwrap();
    assert!(portal.accept().is_err(), "the portal was reached");
}
