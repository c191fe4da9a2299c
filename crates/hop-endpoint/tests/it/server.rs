//! An endpoint in a thread of the test, and the ssh commands that reach it.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hop_endpoint::access::Access;
use hop_endpoint::account::{Account, AccountHints};
use hop_endpoint::clock::Clock;
use hop_endpoint::environment::SiteEnvironment;
use hop_endpoint::forward::GatewayPorts;
use hop_endpoint::host_keys;
use hop_endpoint::limits::Limits;
use hop_endpoint::listener::{Listener, ListenerAddress};
use hop_endpoint::{Endpoint, EndpointConfig};
use hop_keys::{KeyAlgorithm, PrivateKey};
use hop_ssh::{HostKey, ServerConfig};
use tokio_util::sync::CancellationToken;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) directory: PathBuf,
    pub(crate) stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with("", |_| {})
    }

    /// With options before the key in authorized_keys, and changes to the configuration.
    pub(crate) fn start_with(key_options: &str, change: impl FnOnce(&mut EndpointConfig)) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("hop-it-{}-{number}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
        let host_key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let user_key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        write_private(&directory.join("user_key"), user_key.to_openssh("it").as_bytes());
        write_private(&directory.join("host_key"), host_key.to_openssh("it").as_bytes());
        let space = if key_options.is_empty() { "" } else { " " };
        let line = format!("{key_options}{space}{}\n", user_key.public().to_line("it"));
        std::fs::write(directory.join("authorized_keys"), line).unwrap();
        let mut config = config(&directory);
        change(&mut config);
        let user = config.access.users[0].clone();
        let stop = CancellationToken::new();
        let (sender, receiver) = std::sync::mpsc::channel();
        let token = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
                let ListenerAddress::Tcp(address) = listener.address().unwrap() else { panic!("TCP") };
                sender.send(address).unwrap();
                Endpoint::new(config).serve(vec![listener], 2, token).await.unwrap();
            });
        });
        let address = receiver.recv().unwrap();
        let known = format!("hop {}\n", host_key.public().to_line(""));
        std::fs::write(directory.join("known_hosts"), known).unwrap();
        let at = |name: &str| directory.join(name).display().to_string();
        let client = format!(
            "Host hop\n HostName 127.0.0.1\n HostKeyAlias hop\n Port {}\n User {user}\n IdentityFile {}\n \
             IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n \
             StrictHostKeyChecking yes\n BatchMode yes\n ControlPath none\n UpdateHostKeys no\n LogLevel ERROR\n",
            address.port(),
            at("user_key"),
            at("known_hosts")
        );
        std::fs::write(directory.join("ssh_config"), client).unwrap();
        Self { address, directory, stop, thread: Some(thread) }
    }

    /// A configuration with this server's files.
    pub(crate) fn config(&self) -> EndpointConfig {
        config(&self.directory)
    }

    /// One of OpenSSH's programs with our configuration.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(self.directory.join("ssh_config")).stdin(Stdio::null());
        command
    }

    /// ssh to the endpoint with these arguments before and behind the host name.
    pub(crate) fn ssh(&self, before: &[&str], behind: &[&str]) -> Output {
        let output = self.client("ssh").args(before).arg("hop").args(behind).output();
        output.expect("Debian package openssh-client is installed")
    }

    /// Ends the server and waits for it.
    pub(crate) fn stop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

fn config(directory: &Path) -> EndpointConfig {
    let loaded = host_keys::load(&[directory.join("host_key")]).unwrap().remove(0);
    let account = Account::current(&AccountHints::default());
    EndpointConfig {
        activity: Default::default(),
        access: Access {
            users: vec![account.name.clone()],
            authorized_keys: vec![directory.join("authorized_keys")],
            ..Access::default()
        },
        // A known shell, without the start-up files of whoever runs the test.
        account: Account { shell: "/bin/sh".into(), home: directory.to_owned(), ..account },
        ssh: Arc::new(ServerConfig::new(vec![HostKey::new(loaded.private)])),
        site: SiteEnvironment::default(),
        gateway_ports: GatewayPorts::default(),
        temporary: std::env::temp_dir(),
        own_xauthority: None,
        // A test that ends with a connection open shall not wait for it.
        limits: Limits { drain: Duration::from_millis(100), ..Limits::default() },
        clock: Clock::system(),
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write_private(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
}
