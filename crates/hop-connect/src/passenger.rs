//! Who may ride on a held connection: an `ssh` whose user, host, port and route are the connection's own.
//!
//! Must stay true: in doubt a passenger is declined, and connects by itself as if we were not there. Riding as somebody
//! else, or to somewhere else, is never an answer.

use crate::mux::forward::{Direction, Forward};
use crate::resolve::{Resolved, Route};
use crate::ssh_words::SshWords;
use serde::{Deserialize, Serialize};

/// An `ssh` that asks, by its own words and by what it expanded in our `Match exec` line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passenger {
    /// Its command line.
    pub words: SshWords,
    /// `%n`: the host as typed.
    pub name: String,
    /// `%h`: its address, as far as it is known while our lines are read; they come first, so that is often `%n`.
    pub address: String,
    /// `%r`: the remote user, as far as it is known.
    pub user: String,
    /// `%p`: the port, as far as it is known.
    pub port: String,
    /// `%u`: the local user.
    pub local_user: String,
}

/// What a passenger's own words ask of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// To ride; a connection is made if there is none.
    Ride,
    /// To ask about a connection that is there (`-G`, `-O`): none is made.
    Look,
    /// Nothing: it will not connect, or not by our socket.
    Nothing,
}

/// Why a passenger connects by itself. The texts complete "ssh connects by itself: …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Declined {
    /// Another account.
    #[error("it logs in as {asked}, the shared connection as {held}")]
    User {
        /// The passenger's.
        asked: String,
        /// The connection's.
        held: String,
    },
    /// Another address.
    #[error("it goes to {asked}, the shared connection to {held}")]
    Host {
        /// The passenger's.
        asked: String,
        /// The connection's.
        held: String,
    },
    /// Another port.
    #[error("it goes to port {asked}, the shared connection to {held}")]
    Port {
        /// The passenger's.
        asked: String,
        /// The connection's.
        held: u16,
    },
    /// Another way there.
    #[error("it takes another way ({asked})")]
    Route {
        /// `-J` or the setting.
        asked: String,
    },
    /// Another key, which may open another door of the same account.
    #[error("it uses another key ({asked})")]
    Key {
        /// The file.
        asked: String,
    },
    /// The connection does not forward the agent.
    #[error("it wants its agent forwarded (-A), and the shared connection does not do that")]
    Agent,
    /// The connection does not forward X11.
    #[error("it wants X11 (-X, -Y), and the shared connection does not do that")]
    X11,
    /// A network device.
    #[error("it wants a tunnel device (-w)")]
    Tunnel,
    /// A word that may change who or where.
    #[error("{asked} may change what is connected to")]
    Option {
        /// As typed.
        asked: String,
    },
}

/// Settings that change neither who logs in nor where nor how it is checked. Others are declined.
const HARMLESS: &[&str] = &[
    "batchmode",
    "clearallforwardings",
    "compression",
    "connectionattempts",
    "connecttimeout",
    "dynamicforward",
    "escapechar",
    "exitonforwardfailure",
    "gatewayports",
    "ipqos",
    "kbdinteractiveauthentication",
    "localforward",
    "loglevel",
    "numberofpasswordprompts",
    "passwordauthentication",
    "permitlocalcommand",
    "preferredauthentications",
    "remotecommand",
    "remoteforward",
    "requesttty",
    "sendenv",
    "serveralivecountmax",
    "serveraliveinterval",
    "sessiontype",
    "setenv",
    "stdinnull",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "stricthostkeychecking",
    "tcpkeepalive",
    "updatehostkeys",
    "userknownhostsfile",
    "visualhostkey",
];

impl Passenger {
    /// What it wants.
    #[must_use]
    pub fn errand(&self) -> Errand {
        let words = &self.words;
        let own_socket = words.has('S')
            || words.has('M')
            || words.settings().any(|(keyword, _)| {
                matches!(keyword.as_str(), "controlpath" | "controlmaster" | "controlpersist")
            });
        if words.has('V') || words.has('Q') || own_socket {
            Errand::Nothing
        } else if words.has('G') || words.has('O') {
            Errand::Look
        } else {
            Errand::Ride
        }
    }

    /// Whether it will open a session there. With `-N` it does, too: OpenSSH 9.2 asks its master for a shell whatever was
    /// said of sessions.
    #[must_use]
    pub fn takes_session(&self) -> bool {
        self.errand() == Errand::Ride && !self.words.has('W')
    }

    /// The forwardings that its own words ask for. What is not understood is left out.
    #[must_use]
    pub fn forwards(&self) -> Vec<Forward> {
        let directions = [Direction::Local, Direction::Remote, Direction::Dynamic];
        let typed = directions.into_iter().flat_map(|direction| {
            let of_option = self.words.arguments(direction.option()).map(str::to_owned);
            // In a setting, a blank stands between the two ends.
            let settings = self.words.settings().filter(move |(keyword, _)| keyword == direction.keyword());
            let of_setting =
                settings.map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(":"));
            of_option.chain(of_setting).filter_map(move |text| Forward::parse(direction, &text).ok())
        });
        typed.collect()
    }

    /// Whether nobody may be asked anything for it.
    #[must_use]
    pub fn is_batch(&self) -> bool {
        self.words.settings().any(|(keyword, value)| keyword == "batchmode" && is_yes(value))
    }

    /// Whether it may ride on the connection that this configuration makes.
    ///
    /// # Errors
    /// What differs.
    pub fn judge(&self, held: &Resolved) -> Result<(), Declined> {
        self.user(held)?;
        self.host(held)?;
        self.port(held)?;
        self.route(held)?;
        self.options(held)?;
        self.settings(held)
    }

    fn user(&self, held: &Resolved) -> Result<(), Declined> {
        let typed =
            self.words.arguments('l').chain(self.words.destination().0).map(str::to_owned).chain(
                self.words.settings().filter(|(keyword, _)| keyword == "user").map(|(_, v)| v.to_owned()),
            );
        for user in typed {
            if user != held.user {
                return Err(Declined::User { asked: user, held: held.user.clone() });
            }
        }
        // Nothing was typed: ssh says the local user's name until it has read further.
        if self.user == held.user || self.user == self.local_user {
            return Ok(());
        }
        Err(Declined::User { asked: self.user.clone(), held: held.user.clone() })
    }

    fn host(&self, held: &Resolved) -> Result<(), Declined> {
        let different =
            |asked: &str| Declined::Host { asked: asked.to_owned(), held: held.host_name.clone() };
        for (_, value) in self.words.settings().filter(|(keyword, _)| keyword == "hostname") {
            if value != held.host_name {
                return Err(different(value));
            }
        }
        if self.address == held.host_name || self.address == self.name {
            return Ok(());
        }
        Err(different(&self.address))
    }

    fn port(&self, held: &Resolved) -> Result<(), Declined> {
        let wanted = held.port.to_string();
        let different = |asked: &str| Declined::Port { asked: asked.to_owned(), held: held.port };
        let set = self.words.settings().filter(|(keyword, _)| keyword == "port").map(|(_, value)| value);
        let mut typed = self.words.arguments('p').chain(self.words.destination().2).chain(set).peekable();
        if typed.peek().is_some() {
            return typed.find(|port| *port != wanted).map_or(Ok(()), |port| Err(different(port)));
        }
        if self.port == wanted || self.port == "22" {
            return Ok(());
        }
        Err(different(&self.port))
    }

    fn route(&self, held: &Resolved) -> Result<(), Declined> {
        let jumps = self.words.arguments('J').map(str::to_owned);
        let set = self.words.settings().filter(|(keyword, _)| keyword == "proxyjump");
        for asked in jumps.chain(set.map(|(_, value)| value.to_owned())) {
            if held.route != Route::Jump(asked.clone()) {
                return Err(Declined::Route { asked });
            }
        }
        for (_, asked) in self.words.settings().filter(|(keyword, _)| keyword == "proxycommand") {
            if held.route != Route::Command(asked.to_owned()) {
                return Err(Declined::Route { asked: asked.to_owned() });
            }
        }
        Ok(())
    }

    fn options(&self, held: &Resolved) -> Result<(), Declined> {
        for (option, argument) in &self.words.options {
            let argument = argument.as_deref().unwrap_or_default();
            match option {
                // Judged by the functions above and below.
                'l' | 'p' | 'J' | 'o' => {}
                // Terminal, output, forwardings, command.
                'a' | 'x' | 'k' | 'f' | 'g' | 'n' | 'q' | 's' | 't' | 'T' | 'v' | 'y' | 'C' | 'N' | 'D'
                | 'L' | 'R' | 'W' | 'e' | 'E' | 'G' | 'O' => {}
                // "Protocol 2 only", which says nothing since there is no other; sshfs writes it.
                '2' => {}
                'A' if held.forward_agent => {}
                'A' => return Err(Declined::Agent),
                'X' | 'Y' if held.forward_x11 => {}
                'X' | 'Y' => return Err(Declined::X11),
                'w' => return Err(Declined::Tunnel),
                'i' => self.key(argument, held)?,
                other => {
                    return Err(Declined::Option {
                        asked: format!("-{other} {argument}").trim_end().to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    fn settings(&self, held: &Resolved) -> Result<(), Declined> {
        for (keyword, value) in self.words.settings() {
            match keyword.as_str() {
                "user" | "hostname" | "port" | "proxyjump" | "proxycommand" => {}
                "identityfile" => self.key(value, held)?,
                "forwardagent" if !is_no(value) && !held.forward_agent => return Err(Declined::Agent),
                "forwardx11" | "forwardx11trusted" if !is_no(value) && !held.forward_x11 => {
                    return Err(Declined::X11);
                }
                "forwardagent" | "forwardx11" | "forwardx11trusted" => {}
                "tunnel" if is_no(value) => {}
                "tunnel" | "tunneldevice" => return Err(Declined::Tunnel),
                word if HARMLESS.contains(&word) => {}
                _ => return Err(Declined::Option { asked: format!("-o {keyword}={value}") }),
            }
        }
        Ok(())
    }

    fn key(&self, asked: &str, held: &Resolved) -> Result<(), Declined> {
        // A shell has replaced the tilde in what was typed, ssh has not in what it prints.
        let same = |known: &String| {
            known == asked
                || known.strip_prefix("~/").is_some_and(|tail| asked.ends_with(&format!("/{tail}")))
        };
        if held.identity_files.iter().any(same) {
            return Ok(());
        }
        Err(Declined::Key { asked: asked.to_owned() })
    }
}

fn is_yes(value: &str) -> bool {
    value.eq_ignore_ascii_case("yes") || value.eq_ignore_ascii_case("true")
}

fn is_no(value: &str) -> bool {
    value.eq_ignore_ascii_case("no") || value.eq_ignore_ascii_case("false")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::tests::cluster;

    /// An ssh with these words, which sees our lines before it has read any of its own: what it expands is what was
    /// typed, or its defaults.
    fn passenger(line: &str) -> Passenger {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let words = SshWords::parse(&words).unwrap();
        let (user, host, port) = words.destination();
        let set = |wanted: &str| words.settings().find(|(k, _)| k == wanted).map(|(_, v)| v.to_owned());
        let name = host.to_owned();
        let user = words.arguments('l').next().or(user).map(str::to_owned).or(set("user"));
        let port = words.arguments('p').next().or(port).map(str::to_owned).or(set("port"));
        let address = set("hostname").unwrap_or_else(|| name.clone());
        Passenger {
            name,
            address,
            user: user.unwrap_or_else(|| "me".to_owned()),
            port: port.unwrap_or_else(|| "22".to_owned()),
            local_user: "me".to_owned(),
            words,
        }
    }

    #[test]
    fn who_rides() {
        for line in [
            "cluster",
            "alice@cluster",
            "-l alice -p 22 cluster id",
            "ssh://alice@cluster:22",
            "-J bastion cluster",
            "-o ProxyJump=bastion cluster",
            "-o HostName=10.77.2.2 cluster",
            "-i ~/.ssh/id_rsa cluster",
            "-i /home/me/.ssh/id_ed25519 cluster",
            "-x -oForwardAgent=no -oPermitLocalCommand=no -oClearAllForwardings=yes -s -- cluster sftp",
            "-x -a -oClearAllForwardings=yes -2 cluster -s sftp",
            "-T -D 4000 -o ConnectTimeout=15 cluster bash",
            "-L 8080:localhost:80 -N -f cluster",
            "-oSendEnv=GIT_PROTOCOL cluster git-upload-pack x",
            "-tt -q cluster",
            "-W other:22 cluster",
        ] {
            assert_eq!(passenger(line).judge(&cluster()), Ok(()), "{line}");
        }
    }

    #[test]
    fn who_does_not() {
        let cases: &[(&str, &str)] = &[
            ("bob@cluster", "it logs in as bob, the shared connection as alice"),
            ("-l bob cluster", "logs in as bob"),
            ("-o User=bob cluster", "logs in as bob"),
            ("-l me cluster", "logs in as me"),
            ("-p 2222 cluster", "port 2222"),
            ("ssh://cluster:2222", "port 2222"),
            ("-o Port=2222 cluster", "port 2222"),
            ("-o HostName=10.0.0.9 cluster", "goes to 10.0.0.9"),
            ("-J other cluster", "another way (other)"),
            ("-J bastion,other cluster", "another way"),
            ("-o ProxyCommand=nc cluster", "another way (nc)"),
            ("-o ProxyJump=none cluster", "another way (none)"),
            ("-i deploy_key cluster", "another key (deploy_key)"),
            ("-o IdentityFile=deploy_key cluster", "another key"),
            ("-o CertificateFile=c cluster", "-o certificatefile=c may change"),
            ("-o HostKeyAlias=x cluster", "may change"),
            ("-I pkcs11 cluster", "-I pkcs11 may change"),
            ("-F other_config cluster", "-F other_config may change"),
            ("-b 10.0.0.1 cluster", "may change"),
            ("-4 cluster", "-4 may change"),
            ("-A cluster", "wants its agent"),
            ("-o ForwardAgent=yes cluster", "wants its agent"),
            ("-X cluster", "wants X11"),
            ("-Y cluster", "wants X11"),
            ("-w 0 cluster", "tunnel device"),
        ];
        for (line, reason) in cases {
            let declined = passenger(line).judge(&cluster()).unwrap_err().to_string();
            assert!(declined.contains(reason), "{line}: {declined}");
        }
    }

    #[test]
    fn what_it_expanded_counts_where_it_typed_nothing() {
        // A second pass (Match final, canonicalization) has read everything.
        let mut later = passenger("cluster");
        (later.user, later.address, later.port) = ("alice".into(), "10.77.2.2".into(), "22".into());
        assert_eq!(later.judge(&cluster()), Ok(()));
        later.user = "carol".to_owned();
        assert!(later.judge(&cluster()).is_err());
        let mut moved = passenger("cluster");
        moved.address = "10.9.9.9".to_owned();
        assert!(moved.judge(&cluster()).is_err());
    }

    #[test]
    fn errands() {
        for (line, errand) in [
            ("cluster", Errand::Ride),
            ("-G cluster", Errand::Look),
            ("-O check cluster", Errand::Look),
            ("-V", Errand::Nothing),
            ("-S none cluster", Errand::Nothing),
            ("-S /tmp/x cluster", Errand::Nothing),
            ("-M cluster", Errand::Nothing),
            ("-o ControlPath=none cluster", Errand::Nothing),
            ("-oControlMaster=auto cluster", Errand::Nothing),
        ] {
            assert_eq!(passenger(line).errand(), errand, "{line}");
        }
        assert!(passenger("-oBatchMode=yes cluster").is_batch());
        assert!(!passenger("cluster").is_batch());
    }

    #[test]
    fn a_way_to_another_host_alone_is_no_session() {
        for (line, takes) in [
            ("cluster", true),
            ("cluster ls -N", true),
            ("-N -L 1:a:2 cluster", true),
            ("-W a:22 cluster", false),
            ("-o SessionType=none cluster", true),
            ("-O check cluster", false),
        ] {
            assert_eq!(passenger(line).takes_session(), takes, "{line}");
        }
    }

    #[test]
    fn what_is_to_be_closed_after_it() {
        let line = "-NL 8080:a:80 -R0:b:1 -oDynamicForward=1080 -L nonsense -R 1080 cluster";
        let forwards: Vec<_> = passenger(line).forwards().iter().map(Forward::to_string).collect();
        assert_eq!(forwards, ["-L 8080:a:80", "-R 0:b:1", "-R 1080", "-D 1080"]);
        let words = ["-o", "LocalForward 8080 a:80", "cluster"].map(str::to_owned);
        let mut spaced = passenger("cluster");
        spaced.words = SshWords::parse(&words).unwrap();
        assert_eq!(spaced.forwards().first().unwrap().to_string(), "-L 8080:a:80");
    }

    #[test]
    fn a_connection_with_agent_and_x11_takes_those_who_want_them() {
        let mut held = cluster();
        (held.forward_agent, held.forward_x11) = (true, true);
        for line in ["-A cluster", "-X cluster", "-o ForwardAgent=yes cluster"] {
            assert_eq!(passenger(line).judge(&held), Ok(()), "{line}");
        }
    }
}
