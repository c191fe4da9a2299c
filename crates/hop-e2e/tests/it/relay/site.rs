//! Where a test's clients go: straight to the server, or to a relay in front of it. The same test runs at both.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hop_e2e::run::Background;
use hop_e2e::server::{Kind, Options};
use hop_e2e::sshd::Release;
use hop_e2e::{Identity, Run, Scratch, Server, program};
use hop_keys::{PrivateKey, load_private_key};
use hop_testkit::{RawPeer, RelayConfig, RelayEvent, Target};

/// What stands where clients connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The server itself.
    Endpoint,
    /// A relay, and the server behind it.
    Relay,
}

/// A server, perhaps with a relay before it, and everything a client needs.
pub(crate) struct Site {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// The name to log in by.
    pub(crate) user: String,
    /// The key that clients log in with.
    pub(crate) key: Identity,
    /// What they find there.
    pub(crate) host_key: Identity,
    /// An ssh_config in which the host `hop` is this place.
    pub(crate) ssh_config: PathBuf,
    /// A known_hosts file that has it under the alias `hop` and no other name.
    pub(crate) known_hosts: PathBuf,
    relay: Option<Background>,
    server: Server,
    // Last: the programs must be gone before their files are.
    scratch: Scratch,
}

/// What a test may choose about its place.
pub(crate) struct Choice {
    /// About the server.
    pub(crate) server: Options,
    /// Which server; ours unless a test needs another behind the relay.
    pub(crate) kind: Kind,
    /// Changes to the relay's configuration.
    pub(crate) relay: Box<dyn Fn(&mut RelayConfig)>,
}

impl Default for Choice {
    fn default() -> Self {
        Self { server: Options::default(), kind: Kind::Hop, relay: Box::new(|_| {}) }
    }
}

impl Choice {
    /// With these arguments for `hop endpoint`.
    pub(crate) fn arguments(words: &[&str]) -> Self {
        let hop_arguments = words.iter().map(|word| (*word).to_owned()).collect();
        Self { server: Options { hop_arguments, ..Options::default() }, ..Self::default() }
    }

    /// With this change of the relay's configuration.
    pub(crate) fn relay(mut self, change: impl Fn(&mut RelayConfig) + 'static) -> Self {
        self.relay = Box::new(change);
        self
    }
}

impl Site {
    /// With everything as usual.
    pub(crate) fn at(place: Place) -> Self {
        Self::with(place, &Choice::default())
    }

    /// With choices.
    pub(crate) fn with(place: Place, choice: &Choice) -> Self {
        // What is asked of an endpoint may be asked of a gateway: whoever runs the tests says so.
        let kind = match (place, choice.kind, Kind::asked()) {
            (Place::Endpoint, Kind::Hop, Kind::Gateway) => Kind::Gateway,
            (_, kind, _) => kind,
        };
        let server = Server::start_kind(kind, &choice.server);
        let scratch = Scratch::new();
        let (relay, address, key, host_key) = match place {
            Place::Endpoint => (None, server.address, server.user_key.clone(), server.host_key.clone()),
            Place::Relay => {
                let (key, host_key) =
                    (Identity::ed25519(&scratch, "client_key"), Identity::ed25519(&scratch, "relay_key"));
                let authorized = scratch.write("authorized_keys", format!("{}\n", key.public));
                let target = Target::Ssh {
                    address: server.address,
                    user: server.user.clone(),
                    key: server.user_key.private.clone(),
                    host_key: server.host_key.public.clone(),
                };
                let mut config = RelayConfig::new(host_key.private.clone(), &server.user, authorized, target);
                (choice.relay)(&mut config);
                let (relay, address) = start_relay(&scratch, &config);
                (Some(relay), address, key, host_key)
            }
        };
        let user = server.user.clone();
        let known_hosts =
            scratch.write("known_hosts", format!("hop {}\n", host_key.public_without_comment()));
        let config = ssh_config(address, &user, &key.private, &known_hosts);
        let ssh_config = scratch.write("ssh_config", config);
        Self { address, user, key, host_key, ssh_config, known_hosts, relay, server, scratch }
    }

    /// A project behind the gateway of a whole site.
    pub(crate) fn behind_a_gateway() -> Self {
        let kind = Kind::Gateway;
        Self::with(Place::Endpoint, &Choice { kind, ..Choice::default() })
    }

    /// A folder that lives as long.
    pub(crate) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The server behind.
    pub(crate) fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// The relay before it.
    pub(crate) fn relay(&self) -> &Background {
        self.relay.as_ref().expect("a place with a relay")
    }

    /// The processes whose memory is ours: the server's and the relay's, or the gateway's alone.
    pub(crate) fn processes(&mut self) -> Vec<(&'static str, u32)> {
        if let Some(gateway) = self.server.gateway_process() {
            return vec![("gateway", gateway)];
        }
        let server = ("server", self.server.process().id());
        std::iter::once(server).chain(self.relay.as_ref().map(|relay| ("relay", relay.id()))).collect()
    }

    /// An ssh of this release with everything said except what to do; it ends with the host.
    pub(crate) fn ssh(&self, release: Release) -> Run {
        self.openssh(release, "ssh").arg("hop")
    }

    /// One of OpenSSH's clients with its configuration given.
    pub(crate) fn openssh(&self, release: Release, command: &str) -> Run {
        Run::from_words(&release.words(command)).arg("-F").arg(&self.ssh_config)
    }

    /// An ssh_config with another key.
    pub(crate) fn config_with_key(&self, key: &Path) -> PathBuf {
        let text = ssh_config(self.address, &self.user, key, &self.known_hosts);
        self.scratch.write(format!("ssh_config.{}", key.file_name().unwrap().display()), text)
    }

    /// The clients' key for our own engine.
    pub(crate) fn private_key(&self) -> PrivateKey {
        load_private_key(&self.key.private, None).unwrap()
    }

    /// A raw client, logged in.
    pub(crate) fn raw(&self) -> RawPeer {
        self.raw_as("Raw_1")
    }

    /// A raw client with another software string.
    pub(crate) fn raw_as(&self, software: &str) -> RawPeer {
        let mut peer = RawPeer::connect(self.address, software);
        peer.log_in(&self.user, &self.private_key());
        peer
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(relay) = &self.relay
        {
            eprintln!("what the relay at {} said:\n{}", self.address, relay.output());
        }
    }
}

/// Two raw peers with a relay between them, logged in.
pub(crate) struct RawPair {
    /// Whoever logged in to the relay.
    pub(crate) client: RawPeer,
    /// Whom the relay logged in to.
    pub(crate) server: RawPeer,
    /// The relay.
    pub(crate) relay: Background,
    _scratch: Scratch,
}

impl RawPair {
    /// With a change of the relay's configuration.
    pub(crate) fn new(change: impl Fn(&mut RelayConfig)) -> Self {
        let scratch = Scratch::new();
        let key = Identity::ed25519(&scratch, "key");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::Ssh {
            address: listener.local_addr().unwrap(),
            user: "someone".to_owned(),
            key: key.private.clone(),
            host_key: key.public.clone(),
        };
        let authorized = scratch.write("authorized_keys", format!("{}\n", key.public));
        let mut config = RelayConfig::new(key.private.clone(), "user", authorized, target);
        change(&mut config);
        let (relay, address) = start_relay(&scratch, &config);
        let private = load_private_key(&key.private, None).unwrap();
        let host_key = load_private_key(&key.private, None).unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut server = RawPeer::serve(stream, host_key, "Odd_1");
            assert_eq!(server.let_in(), "someone");
            server
        });
        let mut client = RawPeer::connect(address, "Raw_1");
        client.log_in("user", &private);
        Self { client, server: server.join().unwrap(), relay, _scratch: scratch }
    }
}

/// Starts a relay in a process of its own; where it listens.
pub(crate) fn start_relay(scratch: &Scratch, config: &RelayConfig) -> (Background, SocketAddr) {
    let path = scratch.write("relay.json", serde_json::to_vec(config).unwrap());
    let relay = Run::new(relay_binary()).arg(path).background();
    let address = relay.wait_for("where the relay listens", |text| {
        events(text).find_map(|event| match event {
            RelayEvent::Listening { address } => Some(address),
            _ => None,
        })
    });
    (relay, address)
}

/// What a relay has reported so far.
pub(crate) fn events(text: &str) -> impl Iterator<Item = RelayEvent> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

/// An ssh_config in which the host `hop` is at an address.
fn ssh_config(address: SocketAddr, user: &str, key: &Path, known_hosts: &Path) -> String {
    format!(
        "Host hop\n  HostName 127.0.0.1\n  HostKeyAlias hop\n  Port {}\n  User {user}\nHost *\n  IdentityFile {}\n  \
         IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  \
         StrictHostKeyChecking yes\n  BatchMode yes\n  ControlPath none\n  UpdateHostKeys no\n  LogLevel ERROR\n",
        address.port(),
        key.display(),
        known_hosts.display(),
    )
}

/// The relay's program: named by `HOP_RELAY_BIN`, else built now.
fn relay_binary() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(set) = std::env::var_os("HOP_RELAY_BIN") {
            return set.into();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let _ = Run::new(cargo)
            .args(["build", "--quiet", "--package", "hop-testkit", "--bin", "hop-relay"])
            .current_dir(&program::workspace())
            .limit(std::time::Duration::from_secs(1800))
            .success();
        program::target_folder().join("debug/hop-relay")
    })
}
