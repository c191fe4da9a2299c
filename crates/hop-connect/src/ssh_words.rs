//! The words of an `ssh` command line, read as ssh itself reads them (getopt, then the host, then options again, then
//! the command).
//!
//! Must stay true: a word that is not understood is an error, never passed over: whoever judges by this declines then.

use serde::{Deserialize, Serialize};

/// Options without an argument, and those with one: the string that OpenSSH 9.2 gives to getopt.
const FLAGS: &[u8] = b"1246afgkqstvxACGKMNTVXYyn";
const WITH_ARGUMENT: &[u8] = b"bceilmopBDEFIJLOPQRSwW";

/// What was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshWords {
    /// Options in their order; a flag has no argument.
    pub options: Vec<(char, Option<String>)>,
    /// The host, with its user, if any: `alice@saga`, `ssh://alice@saga:2222`.
    pub destination: String,
    /// The command, empty for a shell.
    pub command: Vec<String>,
}

/// A command line that is not ssh's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshWordsError {
    /// An option that this program does not know.
    #[error("-{0} is no option of ssh that is known here")]
    Unknown(char),
    /// The last option lacks what belongs to it.
    #[error("-{0} needs an argument")]
    Lacks(char),
    /// No host.
    #[error("no host is given")]
    NoHost,
}

impl SshWords {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// When ssh would not read them, or would by options that are not known here.
    pub fn parse(words: &[String]) -> Result<Self, SshWordsError> {
        let mut read = Self::default();
        let mut rest = read.take_options(words)?;
        let Some((destination, after)) = rest.split_first() else {
            // `ssh -V` and `ssh -Q cipher` need none.
            return if read.has('V') || read.has('Q') { Ok(read) } else { Err(SshWordsError::NoHost) };
        };
        destination.clone_into(&mut read.destination);
        rest = read.take_options(after)?;
        read.command = rest.to_vec();
        Ok(read)
    }

    /// Whether a flag or option was given.
    #[must_use]
    pub fn has(&self, option: char) -> bool {
        self.options.iter().any(|(given, _)| *given == option)
    }

    /// The arguments of an option.
    pub fn arguments(&self, option: char) -> impl Iterator<Item = &str> {
        self.options
            .iter()
            .filter(move |(given, _)| *given == option)
            .filter_map(|(_, argument)| argument.as_deref())
    }

    /// The `-o` settings as (keyword in lower case, value).
    pub fn settings(&self) -> impl Iterator<Item = (String, &str)> {
        self.arguments('o').map(|setting| {
            let setting = setting.trim();
            let end = setting.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(setting.len());
            let (keyword, value) = setting.split_at(end);
            let value = value.trim_start().trim_start_matches('=').trim().trim_matches('"');
            (keyword.to_ascii_lowercase(), value)
        })
    }

    /// The user that the destination names, the host, and the port.
    #[must_use]
    pub fn destination(&self) -> (Option<&str>, &str, Option<&str>) {
        if let Some(rest) = self.destination.strip_prefix("ssh://") {
            let rest = rest.trim_end_matches('/');
            let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
            return match host.rsplit_once(':') {
                Some((host, port)) if !port.contains(']') => (user, host, Some(port)),
                _ => (user, host, None),
            };
        }
        match self.destination.rsplit_once('@') {
            Some((user, host)) => (Some(user), host, None),
            None => (None, &self.destination, None),
        }
    }

    /// Takes options off the front, as getopt does: flags may share a word, an argument may be glued on.
    fn take_options<'w>(&mut self, mut words: &'w [String]) -> Result<&'w [String], SshWordsError> {
        while let Some((word, after)) = words.split_first() {
            if word == "--" {
                return Ok(after);
            }
            let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                return Ok(words);
            };
            words = after;
            for (index, letter) in letters.char_indices() {
                let is = |set: &[u8]| u8::try_from(letter).is_ok_and(|byte| set.contains(&byte));
                if is(FLAGS) {
                    self.options.push((letter, None));
                } else if is(WITH_ARGUMENT) {
                    let glued = letters.get(index + letter.len_utf8()..).unwrap_or_default();
                    let argument = if glued.is_empty() {
                        let (next, after) = words.split_first().ok_or(SshWordsError::Lacks(letter))?;
                        words = after;
                        next.clone()
                    } else {
                        glued.to_owned()
                    };
                    self.options.push((letter, Some(argument)));
                    break;
                } else {
                    return Err(SshWordsError::Unknown(letter));
                }
            }
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn read(line: &str) -> SshWords {
        SshWords::parse(&words(line)).unwrap()
    }

    #[test]
    fn the_lines_that_tools_really_type() {
        // scp, rsync, git, VS Code.
        let scp = read("-x -oForwardAgent=no -oPermitLocalCommand=no -l alice -s -- saga sftp");
        assert_eq!((scp.destination.as_str(), scp.command.as_slice()), ("saga", &["sftp".to_owned()][..]));
        assert_eq!(scp.arguments('l').collect::<Vec<_>>(), ["alice"]);
        assert_eq!(scp.settings().next().unwrap(), ("forwardagent".to_owned(), "no"));
        let rsync = read("-p 22 -l alice saga rsync --server -vlogDtpre.iLsfxCIvu . dest");
        assert_eq!(rsync.destination(), (None, "saga", None));
        assert_eq!(rsync.command.first().unwrap(), "rsync");
        assert!(!rsync.has('v'));
        let git = read("-oSendEnv=GIT_PROTOCOL git@saga git-upload-pack 'x.git'");
        assert_eq!(git.destination(), (Some("git"), "saga", None));
        let code = read("-T -D 41234 -oConnectTimeout=15 saga bash");
        assert!(code.has('T') && code.has('D'));
        assert_eq!(code.settings().next().unwrap(), ("connecttimeout".to_owned(), "15"));
    }

    #[test]
    fn options_as_getopt_reads_them() {
        assert_eq!(read("-vvp2222 saga").arguments('p').collect::<Vec<_>>(), ["2222"]);
        assert!(read("saga -A ls -G").has('A'), "options may follow the host");
        assert!(!read("saga -A ls -G").has('G'), "but not the command");
        assert_eq!(read("-J a,b -W c:22 bastion").arguments('J').collect::<Vec<_>>(), ["a,b"]);
        assert_eq!(read("ssh://bob@saga:2222").destination(), (Some("bob"), "saga", Some("2222")));
        assert_eq!(read("bob@x@saga").destination(), (Some("bob@x"), "saga", None));
        assert!(read("-V").has('V'));
        assert_eq!(read("-o HostName=x saga").settings().next().unwrap(), ("hostname".to_owned(), "x"));
        assert_eq!(
            SshWords::parse(&["-o".into(), "ProxyJump  b".into(), "h".into()])
                .unwrap()
                .settings()
                .next()
                .unwrap(),
            ("proxyjump".to_owned(), "b")
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        assert_eq!(SshWords::parse(&words("-z saga")), Err(SshWordsError::Unknown('z')));
        assert_eq!(SshWords::parse(&words("saga -p")), Err(SshWordsError::Lacks('p')));
        assert_eq!(SshWords::parse(&[]), Err(SshWordsError::NoHost));
    }

    proptest! {
        #[test]
        fn nothing_panics(words in proptest::collection::vec("\\PC{0,12}", 0..12)) {
            if let Ok(read) = SshWords::parse(&words) {
                let _ = (read.destination(), read.settings().count());
            }
        }
    }
}
