//! A whole site with one project, for tests of clients: what they do arrives through the gateway.
//!
//! The project sees the tests' folders under their own paths and the machine's network, so that a test means the same
//! here as at an endpoint; its walls have tests of their own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

use crate::run::Background;
use crate::server::{Options, hop_binary};
use crate::{Identity, Run, Scratch};

/// The project's name.
pub(crate) const PROJECT: &str = "first";

/// A running site.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) background: Background,
    pub(crate) address: SocketAddr,
    /// What clients find there.
    pub(crate) host_key: Identity,
    /// All host keys, without comments: clients choose one.
    pub(crate) host_keys: Vec<String>,
    settings: PathBuf,
    first_user: u32,
}

/// What `hop serve --json` prints when the site is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    ssh: SocketAddr,
    host_key_lines: Vec<String>,
}

impl Gateway {
    /// Starts a site whose project this user key opens, with what these options say.
    pub(crate) fn start(scratch: &Scratch, user_key: &Identity, options: &Options) -> Self {
        let data = scratch.join("site");
        let shown = std::env::temp_dir();
        let first_user = first_user();
        let Words { site, sessions } = Words::of(&options.hop_arguments);
        let settings = format!(
            "data = {data:?}\nssh = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n{site}[users]\nfirst = {first_user}\n\
             count = 17\n[sessions]\n{sessions}[projects]\nnetwork = \"host\"\n\
             shown = [{{ path = {shown:?}, writable = true }}]\n"
        );
        let settings = scratch.write("site.toml", settings);
        let background =
            Run::new(hop_binary()).args(["serve", "--json", "--config"]).arg(&settings).background();
        let ready: Ready = background.wait_for("a JSON line saying that the site is ready", |text| {
            text.lines().find_map(|line| serde_json::from_str(line).ok())
        });
        let host_key = Identity::read(data.join("site/host-keys/ssh_host_ed25519_key"));
        let gateway = Self {
            background,
            address: ready.ssh,
            host_key,
            host_keys: ready.host_key_lines,
            settings,
            first_user,
        };
        gateway.allow(user_key);
        for (number, line) in options.more_keys.lines().enumerate() {
            // What stands before a key in authorized_keys has no place here, and `hop admin` would say so.
            let public = scratch.write(format!("more_{number}.pub"), format!("{line}\n"));
            gateway.allow_file(&public);
        }
        gateway
    }

    /// Lets one more key in.
    pub(crate) fn allow(&self, key: &Identity) {
        let mut public = key.private.clone().into_os_string();
        public.push(".pub");
        self.allow_file(Path::new(&public));
    }

    fn allow_file(&self, public: &Path) {
        let _ = Run::new(hop_binary())
            .args(["admin", "--config"])
            .arg(&self.settings)
            .args(["key", "add", "--account", "admin", "--file"])
            .arg(public)
            .success();
    }

    /// The process that is gateway, pages and records.
    pub(crate) fn site_process(&self) -> u32 {
        let above = format!(" {} ", self.background.id());
        let processes = std::fs::read_dir("/proc").expect("a list of processes").flatten();
        let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_it = |id: &u32| {
            // A process may end meanwhile.
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            // Behind the name, which may hold anything, comes the state, and then the parent.
            let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
            behind.get(2..).is_some_and(|rest| rest.starts_with(&above)) && line.ends_with(b"\0role\0site\0")
        };
        ids.find(is_it).expect("the site's process")
    }

    /// Gives files to the project: it works as a user of its own.
    pub(crate) fn give(&self, path: &Path) {
        let user = self.first_user + 16;
        let _ = Run::new("chown").args(["-R", &format!("{user}:{user}")]).arg(path).success();
    }
}

/// Arguments of `hop endpoint` in a site's words.
struct Words {
    /// Settings of the site.
    site: String,
    /// Of its sessions.
    sessions: String,
}

impl Words {
    fn of(arguments: &[String]) -> Self {
        let mut words = Self { site: String::new(), sessions: String::new() };
        for pair in arguments.chunks(2) {
            match pair {
                [name, value] if name == "--idle-time" => {
                    words.sessions += &format!("max_idle = {value:?}\n")
                }
                [name, value] if name == "--algorithms" => words.site += &format!("algorithms = {value:?}\n"),
                _ => panic!("a site has no words for {pair:?}"),
            }
        }
        words
    }
}

/// Users for a site of this test: tests run in processes of their own, and no two sites may share any.
fn first_user() -> u32 {
    static SITES: AtomicU32 = AtomicU32::new(0);
    100_000 + std::process::id() * 256 + SITES.fetch_add(1, Ordering::Relaxed) * 17
}
