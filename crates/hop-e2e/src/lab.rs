//! Three machines on one host, each in namespaces of its own: a *client*, a *bastion* that asks for a one-time code, and a
//! *cluster* that only the bastion reaches.
//!
//! ```text
//! client 10.77.1.2 ── 10.77.1.1 bastion 10.77.2.1 ── 10.77.2.2 cluster
//! ```
//!
//! Nothing of the host changes: accounts, PAM services and names are files mounted over /etc in the machines alone. The
//! bastion does not route. One person, [`PERSON`], has an account everywhere. Only root can make machines.

mod machine;
mod slurm;

use std::path::PathBuf;
use std::process::Command;

use crate::program::program;
use crate::{Identity, Run, Scratch};
pub use machine::Machine;

/// The name of the person's account.
pub const PERSON: &str = "alice";
/// The person's password at the bastion.
pub const PASSWORD: &str = "lab";
/// The seed of the person's one-time codes, in base32.
pub const SEED: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEH";

/// An sshd of a machine: its port, and what is special there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Bastion: a key, then a one-time code.
    KeyAndCode,
    /// Bastion: a password, then a one-time code.
    PasswordAndCode,
    /// Cluster: a key.
    Key,
    /// Cluster: a key; one session per connection.
    OneSession,
    /// Cluster: a key; no forwardings.
    NoForwarding,
    /// Cluster: a key; one connection at a time.
    OneConnection,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::KeyAndCode,
        Self::PasswordAndCode,
        Self::Key,
        Self::OneSession,
        Self::NoForwarding,
        Self::OneConnection,
    ];

    /// Where it listens.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::KeyAndCode | Self::Key => 22,
            Self::PasswordAndCode => 2222,
            Self::OneSession => 2224,
            Self::NoForwarding => 2225,
            Self::OneConnection => 2226,
        }
    }

    /// The address of its machine.
    #[must_use]
    pub fn address(self) -> &'static str {
        if self.is_of_the_bastion() { "10.77.1.1" } else { "10.77.2.2" }
    }

    fn is_of_the_bastion(self) -> bool {
        matches!(self, Self::KeyAndCode | Self::PasswordAndCode)
    }

    fn settings(self) -> &'static str {
        match self {
            Self::KeyAndCode => {
                "UsePAM yes\nAuthenticationMethods publickey,keyboard-interactive:pam\nPasswordAuthentication no\n\
                 Banner /run/banner\n"
            }
            Self::PasswordAndCode => {
                "UsePAM yes\nAuthenticationMethods keyboard-interactive:pam\nPasswordAuthentication no\n"
            }
            Self::Key | Self::OneConnection => "UsePAM no\nAuthenticationMethods publickey\n",
            Self::OneSession => "UsePAM no\nAuthenticationMethods publickey\nMaxSessions 1\n",
            Self::NoForwarding => "UsePAM no\nAuthenticationMethods publickey\nDisableForwarding yes\n",
        }
    }

    /// sshd takes the name of its PAM service from the name that it is called by.
    fn service(self) -> &'static str {
        match self {
            Self::KeyAndCode => "lab-code",
            Self::PasswordAndCode => "lab-password-code",
            Self::Key | Self::OneSession | Self::NoForwarding | Self::OneConnection => "sshd",
        }
    }
}

/// How strict the bastion is with codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// Each may be used again, and as often as one likes: for tests that log in several times.
    Lenient,
    /// Each once, and three attempts in 30 seconds: as centres have it.
    Strict,
}

/// The three machines; they and all that runs in them end with it.
#[derive(Debug)]
pub struct Lab {
    /// Where the person sits.
    pub client: Machine,
    /// The way in.
    pub bastion: Machine,
    /// Where the work is done.
    pub cluster: Machine,
    scratch: Scratch,
}

impl Lab {
    /// Starts the machines and their servers. The person's key opens both machines, which are in the person's
    /// known_hosts; there is no ssh configuration yet.
    #[must_use]
    pub fn start(codes: Codes) -> Self {
        assert!(is_root(), "only root can make machines in namespaces");
        for needed in ["ip", "nsenter", "unshare", "setpriv", "google-authenticator", "oathtool"] {
            let _ = program(needed);
        }
        let scratch = Scratch::new();
        let machine = |name| Machine::boot(&scratch, name, codes == Codes::Strict);
        let lab = Self {
            client: machine("client"),
            bastion: machine("bastion"),
            cluster: machine("cluster"),
            scratch,
        };
        lab.link(&lab.client, "10.77.1.2/24", "10.77.1.1/24", "eth0");
        lab.link(&lab.cluster, "10.77.2.2/24", "10.77.2.1/24", "eth1");
        lab.bastion.root("sysctl -qw net.ipv4.ip_forward=0");
        lab.make_keys();
        for door in Door::ALL {
            let machine = if door.is_of_the_bastion() { &lab.bastion } else { &lab.cluster };
            machine.serve(door.port(), door.service(), door.settings(), door == Door::OneConnection);
        }
        lab
    }

    /// A command of the person's at the client, in the home there.
    #[must_use]
    pub fn person(&self, words: &[&str]) -> Command {
        self.client.person(words)
    }

    /// The code that counts now.
    #[must_use]
    pub fn code(&self) -> String {
        let printed = Run::new(program("oathtool")).args(["--totp", "-b", SEED]).success().stdout();
        printed.trim().to_owned()
    }

    /// How often somebody was let in by a door since it was opened.
    #[must_use]
    pub fn logins(&self, door: Door) -> usize {
        self.log(door).lines().filter(|line| line.starts_with("Accepted ") && line.contains(" for ")).count()
    }

    /// What a door's server has logged.
    #[must_use]
    pub fn log(&self, door: Door) -> String {
        std::fs::read_to_string(self.log_file(door)).unwrap_or_default()
    }

    /// Where a door's server logs.
    #[must_use]
    pub fn log_file(&self, door: Door) -> PathBuf {
        let machine = if door.is_of_the_bastion() { &self.bastion } else { &self.cluster };
        machine.log_of(door.port())
    }

    /// Cuts the line between client and bastion, or mends it: packets are lost as when a laptop sleeps.
    pub fn set_line(&self, up: bool) {
        let change = if up { "del" } else { "add" };
        // Both ways, without a word to either side.
        self.bastion.root(&format!(
            "ip rule {change} from 10.77.1.2 blackhole; ip rule {change} to 10.77.1.2 blackhole"
        ));
    }

    /// A cable from a machine to the bastion.
    fn link(&self, machine: &Machine, address: &str, far_address: &str, far_device: &str) {
        machine.connect(&self.bastion, far_device);
        machine.root(&format!("ip addr add {address} dev eth0 && ip link set eth0 up"));
        self.bastion
            .root(&format!("ip addr add {far_address} dev {far_device} && ip link set {far_device} up"));
    }

    fn make_keys(&self) {
        let key = Identity::ed25519(&self.scratch, "id_ed25519");
        let ssh = self.client.home().join(".ssh");
        for name in ["id_ed25519", "id_ed25519.pub"] {
            std::fs::copy(self.scratch.join(name), ssh.join(name)).expect("copy the person's key");
        }
        let mut known = String::new();
        for door in Door::ALL {
            let machine = if door.is_of_the_bastion() { &self.bastion } else { &self.cluster };
            let (name, address, port) = (machine.name(), door.address(), door.port());
            let names = match port {
                22 => format!("{name},{address}"),
                _ => format!("[{name}]:{port},[{address}]:{port}"),
            };
            known += &format!("{names} {}\n", machine.host_key().public_without_comment());
        }
        std::fs::write(ssh.join("known_hosts"), known).expect("write known_hosts");
        for machine in [&self.bastion, &self.cluster] {
            let file = machine.home().join(".ssh/authorized_keys");
            std::fs::write(file, format!("{}\n", key.public)).expect("write authorized_keys");
        }
        for machine in [&self.client, &self.bastion, &self.cluster] {
            machine.give_home();
        }
    }
}

/// Whether the tests may make namespaces and accounts.
fn is_root() -> bool {
    Run::new("id").arg("-u").success().stdout().trim() == "0"
}
