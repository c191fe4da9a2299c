//! The endpoint behind a gateway: OpenSSH's client, a relay, the bare transport, and the word.

use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;

use hop_endpoint::Endpoint;
use hop_endpoint::listener::Listener;
use hop_keys::PrivateKey;
use hop_model::{Permissions, Word};
use hop_ssh::auth::Question;
use hop_ssh::driver::{RelayDriver, ServerLogin, give_word, prepare_tcp};
use hop_ssh::relay::{PassAll, Relay};
use hop_ssh::{HostKey, ServerConfig};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::server::{Server, text};

/// Lets everybody in and gives the same word for all of them.
struct Gateway {
    server: Server,
    port: u16,
}

impl Gateway {
    fn start(change: impl Fn(&mut Word) + Send + 'static) -> Self {
        let server = Server::start();
        let socket = server.directory.join("bare");
        let listener = StdUnixListener::bind(&socket).unwrap();
        let config = server.config();
        let stop = server.stop.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = Listener::inherited(listener).unwrap();
                Endpoint::new(config).serve(vec![listener], 1, stop).await.unwrap();
            });
        });
        let key = std::fs::read_to_string(server.directory.join("host_key")).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap().port()).unwrap();
                let key = PrivateKey::from_openssh(&key, None).unwrap();
                let config = Arc::new(ServerConfig::new(vec![HostKey::new(key)]));
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let addresses = (stream.peer_addr().unwrap(), stream.local_addr().unwrap());
                    let mut word = Word::new("s-1", "p-1", addresses.0, addresses.1, Permissions::all());
                    change(&mut word);
                    tokio::spawn(relay(stream, config.clone(), socket.clone(), word));
                }
            });
        });
        let port = receiver.recv().unwrap();
        Self { server, port }
    }

    fn ssh(&self, before: &[&str], behind: &[&str]) -> Output {
        let port = format!("Port={}", self.port);
        self.server.ssh(&[&["-o", &port], before].concat(), behind)
    }
}

async fn relay(stream: TcpStream, config: Arc<ServerConfig>, socket: PathBuf, mut word: Word) {
    prepare_tcp(&stream).unwrap();
    let Ok(mut login) = ServerLogin::accept(stream, config, 3).await else { return };
    word.client_identification = login.peer_identification().to_owned();
    let client = loop {
        match login.next_question().await {
            Ok(Question::Probe(_)) => login.encourage().await.unwrap(),
            Ok(Question::Login(key)) => break login.admit(key).await.unwrap(),
            Err(_) => return,
        }
    };
    let (stream, near, _) = client.into_parts();
    let Ok((far_stream, far)) = give_word(UnixStream::connect(socket).await.unwrap(), &word).await else {
        return;
    };
    let relay = Relay::new(near, far, Box::new(PassAll), None, std::time::Instant::now()).unwrap();
    RelayDriver::new(relay, stream, far_stream).run(std::future::pending()).await;
}

#[test]
fn a_session_knows_who_came_and_from_where() {
    let gateway = Gateway::start(|word| {
        word.account_name = "ada".to_owned();
        word.client = "192.0.2.7:4242".parse().unwrap();
        word.environment = vec![("SITE".to_owned(), "north".to_owned())];
    });
    let output =
        gateway.ssh(&[], &["echo $HOP_PROJECT $HOP_SESSION $HOP_ACCOUNT $SITE ${SSH_CLIENT% *}; exit 4"]);
    assert_eq!(text(&output.stdout), "p-1 s-1 ada north 192.0.2.7 4242\n", "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn bytes_files_and_terminals_pass() {
    let gateway = Gateway::start(|_| {});
    let output = gateway.ssh(&[], &["head -c 30000000 /dev/zero"]);
    assert_eq!(output.stdout.len(), 30_000_000, "{}", text(&output.stderr));
    let output = gateway.ssh(&["-tt"], &["tty"]);
    assert!(text(&output.stdout).starts_with("/dev/pts/"), "{}", text(&output.stdout));
    let output = gateway.ssh(&["-s"], &["sftp"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn what_the_word_does_not_permit_is_refused() {
    let gateway = Gateway::start(|word| word.permissions = Permissions::none());
    let output = gateway.ssh(&["-tt"], &["tty"]);
    assert!(text(&output.stderr).contains("PTY allocation request failed"), "{}", text(&output.stderr));
    let output = gateway.ssh(&["-W", "127.0.0.1:1"], &[]);
    assert!(text(&output.stderr).contains("stdio forwarding failed"), "{}", text(&output.stderr));
    let forced = Gateway::start(|word| word.permissions.force_command = Some("echo forced".to_owned()));
    assert_eq!(text(&forced.ssh(&[], &["echo wanted"]).stdout), "forced\n");
}

#[test]
fn a_word_that_is_over_opens_nothing() {
    let gateway = Gateway::start(|word| word.not_after = Some(1));
    let output = gateway.ssh(&[], &["echo in"]);
    assert_eq!(text(&output.stdout), "");
    assert_eq!(output.status.code(), Some(255));
}
