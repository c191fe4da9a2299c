//! What a site is told: the settings file of `hop serve`, or the options of `hop up`.

use crate::cli::AlgorithmSet;
use crate::error::{CommandError, ErrorKind};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// All settings, with their defaults. Unknown ones are errors: a misspelt restriction must not be forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where everything is kept.
    pub(crate) data: PathBuf,
    /// Where SSH listens.
    pub(crate) ssh: SocketAddr,
    /// Where the pages listen.
    pub(crate) http: SocketAddr,
    /// `postgres://…` instead of the file in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<String>,
    /// What people are told.
    pub(crate) public: Public,
    /// TLS for the pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
    /// Networks of proxies in front of the pages, whose X-Forwarded-For is believed.
    pub(crate) behind_proxy: Vec<String>,
    /// Networks of load balancers in front of SSH, which say in a PROXY header whose a connection is.
    pub(crate) proxy_protocol_from: Vec<String>,
    /// Which algorithms the gateway offers.
    pub(crate) algorithms: AlgorithmSet,
    /// Projects and what they may take.
    pub(crate) projects: Projects,
    /// SSH sessions.
    pub(crate) sessions: Sessions,
    /// The users that a site started by root runs as; drawn by chance at the first start when not set, and kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) users: Option<UserRange>,
}

/// How people reach the site, where that differs from where it listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Public {
    /// The address of the pages, for example `https://hop.example.org`.
    pub(crate) url: Option<String>,
    /// The name in printed ssh lines.
    pub(crate) ssh_name: Option<String>,
    /// The port in printed ssh lines.
    pub(crate) ssh_port: Option<u16>,
}

/// TLS for the pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The chain, in PEM.
    pub(crate) certificate: PathBuf,
    /// The private key, in PEM.
    pub(crate) key: PathBuf,
}

/// What projects reach and take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Projects {
    /// What they reach.
    pub(crate) network: Network,
    /// Directories of this machine that each sees under the same path: software, data.
    pub(crate) shown: Vec<Shown>,
    /// Whether they are kept apart. Without it the site has one account only.
    pub(crate) sandbox: bool,
    /// A project that nobody uses is stopped after this time.
    #[serde(with = "duration")]
    pub(crate) stop_after: Duration,
    /// Processes and threads of each.
    pub(crate) processes: u64,
    /// Bytes of memory of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<u64>,
    /// Bytes of each one's /tmp and /run.
    pub(crate) temporary: u64,
}

/// A directory that projects see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shown {
    /// Where it is, and where they see it.
    pub(crate) path: PathBuf,
    /// Whether they may write there, as far as its permissions let them.
    #[serde(default)]
    pub(crate) writable: bool,
}

/// What projects reach over the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Network {
    /// Themselves.
    #[default]
    None,
    /// The web, through the site.
    Proxy,
    /// Whatever this machine reaches, its own loopback included.
    Host,
}

/// How long SSH sessions wait and last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sessions {
    /// Time that a project has to start.
    #[serde(with = "duration")]
    pub(crate) start_timeout: Duration,
    /// A connection that carried no data for this long is ended.
    #[serde(with = "duration")]
    pub(crate) max_idle: Duration,
    /// How long open sessions go on without the site's records.
    #[serde(with = "duration")]
    pub(crate) revocation_grace: Duration,
}

/// Users for the site's processes and its projects, when root starts it. They must be nobody else's: what runs as one of
/// them and is not the site's own is taken for a remainder and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserRange {
    /// The first number: the site's. The next is the signer's; projects have those from the sixteenth on.
    pub(crate) first: u32,
    /// How many.
    pub(crate) count: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: PathBuf::from("hop-data"),
            ssh: SocketAddr::from((Ipv4Addr::LOCALHOST, 2222)),
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 8022)),
            store: None,
            public: Public::default(),
            tls: None,
            behind_proxy: Vec::new(),
            proxy_protocol_from: Vec::new(),
            algorithms: AlgorithmSet::Default,
            projects: Projects::default(),
            sessions: Sessions::default(),
            users: None,
        }
    }
}

impl Default for Projects {
    fn default() -> Self {
        Self {
            network: Network::None,
            shown: Vec::new(),
            sandbox: true,
            stop_after: Duration::from_secs(30 * 60),
            processes: 1024,
            memory: None,
            temporary: 1 << 30,
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            start_timeout: Duration::from_secs(120),
            max_idle: Duration::from_secs(24 * 3600),
            revocation_grace: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// Reads a settings file. Relative paths in it count from its folder.
    pub(crate) fn read(path: &Path) -> Result<Self, CommandError> {
        let cannot = |error: &dyn std::fmt::Display| {
            CommandError::new(
                ErrorKind::Config,
                format!("cannot use the settings {}: {error}", path.display()),
            )
        };
        let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
        let mut settings: Self = toml::from_str(&text).map_err(|error| cannot(&error))?;
        // The site's processes may work elsewhere.
        let path = std::path::absolute(path).map_err(|error| cannot(&error))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        settings.data = folder.join(&settings.data);
        if let Some(tls) = &mut settings.tls {
            tls.certificate = folder.join(&tls.certificate);
            tls.key = folder.join(&tls.key);
        }
        Ok(settings)
    }
}

/// Times as people write them.
mod duration {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}s", time.as_secs()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::cli::duration(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_only_what_differs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.toml");
        std::fs::write(
            &path,
            "data = 'd'\nssh = '0.0.0.0:22'\n[projects]\nstop_after = '5m'\nnetwork = 'proxy'\n",
        )
        .unwrap();
        let settings = Settings::read(&path).unwrap();
        assert_eq!(settings.data, folder.path().join("d"));
        assert_eq!(settings.projects.stop_after, Duration::from_secs(300));
        assert_eq!(settings.projects.network, Network::Proxy);
        assert_eq!(settings.http, Settings::default().http);
    }

    #[test]
    fn the_documented_defaults_are_the_defaults() {
        let documented = include_str!("../../../../docs/site.toml");
        assert_eq!(toml::from_str::<Settings>(documented).unwrap(), Settings::default());
        // What is commented out is understood, too.
        let is_setting = |line: &str| {
            line.starts_with('[') || line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' '))
        };
        let uncommented = documented.lines().map(|line| match line.strip_prefix("# ") {
            Some(setting) if is_setting(setting) => setting,
            _ => line,
        });
        let all = uncommented.filter(|line| *line != "shown = []").collect::<Vec<_>>().join("\n");
        let all = toml::from_str::<Settings>(&all).unwrap();
        assert!(
            all.store.is_some() && all.tls.is_some() && all.users.is_some() && all.projects.memory.is_some()
        );
        assert_eq!(all.projects.shown.len(), 2);
    }

    #[test]
    fn what_is_not_a_setting_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.toml");
        for (text, named) in [
            ("shh = '127.0.0.1:22'", "shh"),
            ("ssh = 'here'", "ssh"),
            ("[projects]\nstop_after = 'soon'", "use a number"),
            ("[sessions]\nmax_idel = '1h'", "max_idel"),
            ("=", "site.toml"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Settings::read(&path).unwrap_err();
            assert!(error.message().contains(named), "{}", error.message());
        }
    }

    #[test]
    fn what_a_process_is_told_it_reads_again() {
        let settings = Settings::default();
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
    }
}
