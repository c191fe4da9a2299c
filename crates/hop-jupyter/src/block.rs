//! What stands in ssh_config for a server: literal words and double quotes only, so that programs that read such files
//! themselves understand it as ssh does (VS Code's forks, ssh2).

use std::fmt::Write as _;
use std::path::Path;

/// What a block is made of.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// What stands after `ssh`.
    pub alias: &'a str,
    /// The Hub's host, for programs that want one.
    pub host: &'a str,
    /// The `hop` program.
    pub hop: &'a Path,
    /// The `wss` URL.
    pub url: &'a str,
    /// The private key, if it is one of this machine.
    pub identity: Option<&'a Path>,
    /// CA certificates to trust beside the system's.
    pub ca_file: Option<&'a Path>,
    /// SSH goes through a terminal of the server.
    pub through_terminal: bool,
}

/// A word that a block cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot write {word:?} into ssh_config: it has a character that ssh or a shell would read otherwise")]
pub struct BlockError {
    word: String,
}

impl Block<'_> {
    /// The lines.
    pub fn text(&self) -> Result<String, BlockError> {
        let mut text = format!("Host {}\n", plain(self.alias)?);
        // Writing to a String cannot fail.
        let mut line = |words: String| {
            let _ = writeln!(text, "    {words}");
        };
        line(format!("HostName {}", plain(self.host)?));
        // The endpoint takes any; without one ssh would say this machine's.
        line("User jovyan".to_owned());
        line(format!("HostKeyAlias {}", plain(self.alias)?));
        // TLS and the Hub have led there, so that the first key is the right one.
        line("StrictHostKeyChecking accept-new".to_owned());
        if let Some(identity) = self.identity {
            line(format!("IdentityFile {}", path(identity, true)?));
            line("IdentitiesOnly yes".to_owned());
        }
        let ca_file = self.ca_file.map(|file| path(file, true)).transpose()?;
        let ca_file = ca_file.map(|file| format!(" --ca-file {file}")).unwrap_or_default();
        // ssh expands % in this line, where escaped names have one.
        let url = plain(self.url)?.replace('%', "%%");
        let way = if self.through_terminal { " --through-terminal" } else { "" };
        line(format!("ProxyCommand {} proxy --start{way}{ca_file} {url}", path(self.hop, true)?));
        Ok(text)
    }
}

/// A word that neither ssh nor a shell reads otherwise.
fn plain(word: &str) -> Result<&str, BlockError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@=:%~[]".contains(c);
    let is_good = !word.is_empty() && !word.starts_with(['-', '~', '[']) && word.chars().all(is_plain);
    if is_good { Ok(word) } else { Err(BlockError { word: word.to_owned() }) }
}

/// A path, in double quotes where it has a space; `%` doubled, as ssh expands it.
fn path(path: &Path, expanded: bool) -> Result<String, BlockError> {
    let text = path.to_string_lossy().into_owned();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@=:% ".contains(c);
    if path.to_str().is_none() || !text.starts_with('/') || !text.chars().all(is_plain) {
        return Err(BlockError { word: text });
    }
    let text = if expanded { text.replace('%', "%%") } else { text };
    Ok(if text.contains(' ') { format!("\"{text}\"") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<'a>(alias: &'a str, url: &'a str, hop: &'a str) -> Block<'a> {
        let identity = Some(Path::new("/home/al/.ssh/id_ed25519"));
        Block {
            alias,
            host: "hub.example.org",
            hop: Path::new(hop),
            url,
            identity,
            ca_file: None,
            through_terminal: false,
        }
    }

    #[test]
    fn as_it_was_tried() {
        let url = "wss://hub.example.org/user/a%40b/sshd/";
        let text = block("hub", url, "/home/al/my tools/hop").text().unwrap();
        assert_eq!(
            text,
            "Host hub\n    HostName hub.example.org\n    User jovyan\n    HostKeyAlias hub\n    \
             StrictHostKeyChecking accept-new\n    IdentityFile /home/al/.ssh/id_ed25519\n    IdentitiesOnly yes\n    \
             ProxyCommand \"/home/al/my tools/hop\" proxy --start wss://hub.example.org/user/a%%40b/sshd/\n"
        );
        let private = Block {
            ca_file: Some(Path::new("/etc/ca.pem")),
            identity: None,
            ..block("hub", url, "/usr/bin/hop")
        };
        let text = private.text().unwrap();
        assert!(
            text.contains("ProxyCommand /usr/bin/hop proxy --start --ca-file /etc/ca.pem wss://"),
            "{text}"
        );
        assert!(!text.contains("Identit"), "{text}");
        let text = Block { through_terminal: true, ..private }.text().unwrap();
        assert!(
            text.contains("/hop proxy --start --through-terminal --ca-file /etc/ca.pem wss://"),
            "{text}"
        );
    }

    #[test]
    fn what_a_shell_would_read_is_refused() {
        let url = "wss://h/user/a/sshd/";
        for bad in
            ["wss://h/user/a;id/sshd/", "wss://h/$(id)/", "wss://h/ x", "wss://h/'", "wss://h/\n", "-x"]
        {
            assert!(block("hub", bad, "/usr/bin/hop").text().is_err(), "{bad}");
        }
        for bad in ["/opt/a\"b/hop", "hop", "/opt/`id`/hop", "/opt/a\nb/hop"] {
            assert!(block("hub", url, bad).text().is_err(), "{bad}");
        }
        assert!(block("a b", url, "/usr/bin/hop").text().is_err());
    }
}
