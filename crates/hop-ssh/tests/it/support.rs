//! What the tests share: keys, directories, a small server of our own, a real sshd.

use hop_keys::{Identity, KeyAlgorithm, PrivateKey, SignatureAlgorithm};
use hop_ssh::auth::{InfoRequest, Question};
use hop_ssh::connection::{ChannelKind, ChannelRequest, Limits, Stream};
use hop_ssh::driver::{Answers, Channel, Incoming, ServerLogin, prepare_tcp};
use hop_ssh::{HostKey, RekeyLimits, ServerConfig};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A directory that is removed at the end.
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hop-ssh-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file that only we can read.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        std::io::Write::write_all(&mut file, content.as_bytes()).unwrap();
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn key(algorithm: KeyAlgorithm) -> PrivateKey {
    PrivateKey::generate(algorithm).unwrap()
}

/// A server that lets one key in and serves a few commands: `echo TEXT`, `cat`, `zeros COUNT`,
/// `count` (how many bytes came), `status N`.
pub(crate) async fn start_server(user_key: &PrivateKey, rekey: RekeyLimits) -> SocketAddr {
    let mut config = ServerConfig::new(vec![
        HostKey::new(key(KeyAlgorithm::Ed25519)),
        HostKey::new(key(KeyAlgorithm::Rsa)),
    ]);
    config.rekey = rekey;
    let config = Arc::new(config);
    let allowed = user_key.public().clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::task::spawn_local(serve(stream, config.clone(), allowed.clone()));
        }
    });
    address
}

async fn serve(stream: TcpStream, config: Arc<ServerConfig>, allowed: hop_keys::PublicKey) {
    prepare_tcp(&stream).unwrap();
    let Ok(mut login) = ServerLogin::accept(stream, config, 6).await else { return };
    let client = loop {
        match login.next_question().await {
            Ok(Question::Probe(query)) if *query.identity.key() == allowed => {
                login.encourage().await.unwrap()
            }
            Ok(Question::Login(key)) if *key.identity().key() == allowed => {
                break login.admit(key).await.unwrap();
            }
            Ok(_) => login.reject().await.unwrap(),
            Err(_) => return,
        }
    };
    let (_connection, mut arrivals, driver) = client.serve(Limits::default());
    let driver = tokio::task::spawn_local(driver.run());
    while let Some(incoming) = arrivals.next().await {
        match incoming {
            Incoming::Open(open) if *open.kind() == ChannelKind::Session => {
                tokio::task::spawn_local(session(open.accept()));
            }
            Incoming::Open(_) | Incoming::Request(_) => {}
        }
    }
    driver.await.unwrap();
}

async fn session(channel: Channel) {
    let mut requests = channel.requests();
    let command = loop {
        match requests.next().await {
            None => return,
            Some(request) => match request.request().clone() {
                ChannelRequest::Exec(command) => {
                    request.accept();
                    break String::from_utf8(command).unwrap();
                }
                _ => request.refuse(),
            },
        }
    };
    let mut input = channel.reader(Stream::Data);
    let mut output = channel.writer(Stream::Data);
    let (name, argument) = command.split_once(' ').unwrap_or((&command, ""));
    let mut status = 0;
    match name {
        "echo" => output.write_all(argument.as_bytes()).await.unwrap(),
        "cat" => {
            tokio::io::copy(&mut input, &mut output).await.unwrap();
        }
        "zeros" => {
            let mut left: usize = argument.parse().unwrap();
            let block = vec![0; 256 * 1024];
            while left > 0 {
                left -= output.write(&block[..left.min(block.len())]).await.unwrap();
            }
        }
        "count" => {
            let mut total = 0u64;
            let mut block = vec![0; 256 * 1024];
            loop {
                match input.read(&mut block).await.unwrap() {
                    0 => break,
                    count => total += count as u64,
                }
            }
            output.write_all(total.to_string().as_bytes()).await.unwrap();
        }
        "status" => status = argument.parse().unwrap(),
        other => panic!("unknown command {other}"),
    }
    channel.notify(&ChannelRequest::ExitStatus(status));
    channel.send_eof();
}

/// Signs with keys at hand.
pub(crate) struct Keys(pub(crate) Vec<PrivateKey>);

impl Answers for Keys {
    async fn sign(
        &mut self,
        identity: &Identity,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Option<Vec<u8>> {
        let key = self.0.iter().find(|key| key.public() == identity.key())?;
        key.sign(algorithm, message).ok()
    }
    async fn answer(&mut self, _request: &InfoRequest) -> Option<Vec<String>> {
        None
    }
    async fn banner(&mut self, _text: &str) {}
}

/// A real sshd, one connection per process (`-i`), on a socket pair.
pub(crate) struct Sshd {
    pub(crate) child: Child,
}

impl Sshd {
    pub(crate) fn path() -> &'static Path {
        let path = Path::new("/usr/sbin/sshd");
        assert!(path.exists(), "sshd is missing: install the Debian package openssh-server");
        path
    }

    /// Starts sshd for one connection; the stream to speak to it.
    pub(crate) fn start(
        dir: &TempDir,
        host_key: &PrivateKey,
        user_key: &PrivateKey,
        more: &str,
    ) -> (Self, TcpStream) {
        let host = dir.write("host_key", &host_key.to_openssh("host"));
        let authorized = dir.write("authorized_keys", &user_key.public().to_line("test"));
        let config = dir.write(
            "sshd_config",
            &format!(
                "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nLogLevel DEBUG1\n{more}\n",
                host.display(),
                authorized.display(),
            ),
        );
        let _ = std::fs::create_dir_all("/run/sshd");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let child = Command::new(Self::path())
            .args(["-i", "-e", "-f"])
            .arg(config)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs.try_clone().unwrap())))
            .stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stderr(std::fs::File::create(dir.0.join("sshd.log")).unwrap())
            .spawn()
            .unwrap();
        ours.set_nonblocking(true).unwrap();
        (Self { child }, TcpStream::from_std(ours).unwrap())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a test on a current-thread runtime with room for local tasks.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(std::time::Duration::from_secs(120), test).await.expect("the test hangs");
    });
}
