//! What we write for `ssh`: one line in `~/.ssh/config`, and a block for each host in `~/.ssh/hop.conf`.
//!
//! Must stay true: the user's file gets that one line and loses it again, every other byte stays; a change is shown
//! before it is made; files are replaced whole, in place of links' targets, with their mode kept.

mod block;

pub use block::{HOST_KEY_ALIAS, Ours, Port, block, plain_block, plain_name};

use crate::alias::Alias;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The line that `~/.ssh/config` begins with. First, before any Host or Match: in such a section it would count there
/// only, and of two values ssh takes the first.
pub const INCLUDE: &str = "Include ~/.ssh/hop.conf";
const HEADER: &str = "# Written by hop; hop ssh-config enable and disable change it.\n";
/// A configuration larger than this is not one.
const LARGEST: u64 = 4 * 1024 * 1024;

/// The line for servers behind a JupyterHub. Their blocks have a file of their own, without Match: programs that read
/// such files themselves (VS Code's forks) understand it. It stands before any Host or Match, too.
const INCLUDE_JUPYTER: &str = "Include ~/.ssh/hop-jupyter.conf";
const HEADER_JUPYTER: &str = "# Written by hop; hop jupyter add and remove change it.\n";

/// The two files of one user.
#[derive(Clone, Debug)]
pub struct SshConfig {
    config: PathBuf,
    blocks: PathBuf,
    include: &'static str,
    header: &'static str,
}

/// Why a configuration cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SshConfigError {
    /// A file.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a text that could be changed safely.
    #[error("cannot change {path}: {reason}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A path that the block cannot hold.
    #[error(
        "cannot write {path} into ssh_config: it has a character that ssh or a shell would read otherwise"
    )]
    Path {
        /// The path.
        path: PathBuf,
    },
}

/// Changes of files that have been worked out and not been made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    files: Vec<FileChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileChange {
    path: PathBuf,
    before: Option<String>,
    /// `None` removes it.
    after: Option<String>,
}

/// What stands in a configuration about a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Absent,
    /// The block is there and the Include line is first.
    Enabled,
    /// The block is there, and the Include line is missing or stands where ssh passes it over.
    NotIncluded,
}

impl SshConfig {
    /// The files below a home. (`ssh` goes by the passwd entry's home, not by `$HOME`.)
    #[must_use]
    pub fn of_home(home: &Path) -> Self {
        let folder = home.join(".ssh");
        let (config, blocks) = (folder.join("config"), folder.join("hop.conf"));
        Self { config, blocks, include: INCLUDE, header: HEADER }
    }

    /// The files of servers behind a JupyterHub.
    #[must_use]
    pub fn of_home_for_jupyter(home: &Path) -> Self {
        let folder = home.join(".ssh");
        let (config, blocks) = (folder.join("config"), folder.join("hop-jupyter.conf"));
        Self { config, blocks, include: INCLUDE_JUPYTER, header: HEADER_JUPYTER }
    }

    /// Whether the person's own configuration has lines for a host of this very name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_own_host(&self, alias: &Alias) -> Result<bool, SshConfigError> {
        let text = read(&self.config)?.unwrap_or_default();
        let names = |line: &str| {
            let mut words = line.split(|c: char| c.is_whitespace() || "=\"".contains(c));
            words.find(|word| !word.is_empty()).is_some_and(|word| word.eq_ignore_ascii_case("host"))
                && words.any(|word| word == alias.as_str())
        };
        Ok(text.lines().any(names))
    }

    /// What is there now.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn standing(&self, alias: &Alias) -> Result<Standing, SshConfigError> {
        let blocks = read(&self.blocks)?.unwrap_or_default();
        if Blocks::parse(&blocks).find(alias).is_none() {
            return Ok(Standing::Absent);
        }
        let config = read(&self.config)?.unwrap_or_default();
        Ok(if has_include(&config, self.include) { Standing::Enabled } else { Standing::NotIncluded })
    }

    /// The hosts that have a block.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn enabled(&self) -> Result<Vec<Alias>, SshConfigError> {
        let blocks = read(&self.blocks)?.unwrap_or_default();
        Ok(Blocks::parse(&blocks).0.into_iter().filter_map(|(alias, _)| alias).collect())
    }

    /// Works out what puts a host's block there ([`block`], [`plain_block`], or one of the caller's).
    ///
    /// # Errors
    /// When a file cannot be read or changed safely.
    pub fn enable(&self, alias: &Alias, text: String) -> Result<Change, SshConfigError> {
        let before = read(&self.blocks)?;
        let mut blocks = Blocks::parse(before.as_deref().unwrap_or_default());
        blocks.set(alias, text);
        let after = Some(blocks.text(self.header));
        let files = vec![FileChange { path: self.blocks.clone(), before, after }, self.with_include(true)?];
        Ok(Change { files }.trimmed())
    }

    /// Works out what makes `ssh` to a host as it was before.
    ///
    /// # Errors
    /// When a file cannot be read or changed safely.
    pub fn disable(&self, alias: &Alias) -> Result<Change, SshConfigError> {
        let before = read(&self.blocks)?;
        let mut blocks = Blocks::parse(before.as_deref().unwrap_or_default());
        blocks.remove(alias);
        let last = blocks.0.iter().all(|(alias, _)| alias.is_none());
        let after = if last { None } else { Some(blocks.text(self.header)) };
        let mut files = vec![FileChange { path: self.blocks.clone(), before, after }];
        if last {
            files.push(self.with_include(false)?);
        }
        Ok(Change { files }.trimmed())
    }

    fn with_include(&self, wanted: bool) -> Result<FileChange, SshConfigError> {
        let before = read(&self.config)?;
        let text = before.clone().unwrap_or_default();
        // One that stands too late does nothing; it is taken out, not doubled.
        let without = || text.split_inclusive('\n').filter(|line| line.trim() != self.include);
        let after = match (wanted, has_include(&text, self.include)) {
            (true, true) | (false, false) => before.clone(),
            (true, false) => {
                let rest: String = without().collect();
                // Of two values ssh takes the first: a shared login goes before.
                Some(match rest.strip_prefix(INCLUDE).and_then(|rest| rest.strip_prefix('\n')) {
                    Some(rest) if self.include != INCLUDE => format!("{INCLUDE}\n{}\n{rest}", self.include),
                    _ => format!("{}\n{rest}", self.include),
                })
            }
            (false, true) => Some(without().collect::<String>()).filter(|rest| !rest.is_empty()),
        };
        Ok(FileChange { path: self.config.clone(), before, after })
    }
}

/// Whether the Include line stands where it counts for every host: ours is the first that means anything, that of Jupyter's
/// servers comes before any Host or Match.
fn has_include(config: &str, include: &str) -> bool {
    let mut lines = config.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    if include == INCLUDE {
        // Only the very first line is ours to take out again.
        return lines.next() == Some(INCLUDE) && config.trim_start().starts_with(INCLUDE);
    }
    let begins_section = |line: &str| {
        let word = line.split(|c: char| c.is_whitespace() || c == '=').next().unwrap_or_default();
        word.eq_ignore_ascii_case("host") || word.eq_ignore_ascii_case("match")
    };
    lines.take_while(|line| !begins_section(line)).any(|line| line == include)
}

/// The blocks of a file in their order; what stands between them belongs to nobody and is kept.
struct Blocks(Vec<(Option<Alias>, String)>);

const BEGIN: &str = "# hop: ";
const END: &str = "# hop end\n";

impl Blocks {
    fn parse(text: &str) -> Self {
        let mut parts: Vec<(Option<Alias>, String)> = Vec::new();
        let mut inside = false;
        for line in text.split_inclusive('\n') {
            let begins = line.trim_end().strip_prefix(BEGIN).and_then(|name| Alias::parse(name).ok());
            if let Some(alias) = begins {
                parts.push((Some(alias), String::new()));
                inside = true;
            } else if line == END {
                inside = false;
            } else if let Some((_, part)) = parts.last_mut().filter(|(alias, _)| alias.is_some() == inside) {
                part.push_str(line);
            } else {
                parts.push((None, line.to_owned()));
            }
        }
        Self(parts)
    }

    fn find(&self, alias: &Alias) -> Option<&str> {
        self.0.iter().find(|(found, _)| found.as_ref() == Some(alias)).map(|(_, text)| text.as_str())
    }

    fn set(&mut self, alias: &Alias, block: String) {
        match self.0.iter_mut().find(|(found, _)| found.as_ref() == Some(alias)) {
            Some((_, text)) => *text = block,
            None => self.0.push((Some(alias.clone()), block)),
        }
    }

    fn remove(&mut self, alias: &Alias) {
        self.0.retain(|(found, _)| found.as_ref() != Some(alias));
    }

    fn text(&self, header: &str) -> String {
        let mut text = String::new();
        if !self.0.iter().any(|(alias, part)| alias.is_none() && part.starts_with(header)) {
            text.push_str(header);
        }
        for (alias, part) in &self.0 {
            match alias {
                // Writing to a String cannot fail.
                Some(alias) => {
                    let _ = write!(text, "{BEGIN}{alias}\n{part}{END}");
                }
                None => text.push_str(part),
            }
        }
        text
    }
}

impl Change {
    fn trimmed(mut self) -> Self {
        self.files.retain(|file| file.before != file.after);
        self
    }

    /// Nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The change as a person reads it: lines that go with `-`, lines that come with `+`.
    #[must_use]
    pub fn diff(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            let _ = writeln!(text, "{}:", file.path.display());
            let before = file.before.as_deref().unwrap_or_default();
            let after = file.after.as_deref().unwrap_or_default();
            for line in changed_lines(before, after) {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }

    /// Makes the change.
    ///
    /// # Errors
    /// When a file cannot be written; files before it are changed then.
    pub fn apply(&self) -> Result<(), SshConfigError> {
        self.files.iter().try_for_each(|file| match &file.after {
            Some(text) => replace(&file.path, text).map_err(|source| failed("write", &file.path, source)),
            None => match std::fs::remove_file(&file.path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    Err(failed("remove", &file.path, source))
                }
                _ => Ok(()),
            },
        })
    }
}

/// The lines between the common beginning and the common end: our changes are in one place of a file.
fn changed_lines(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let gone = old.iter().take(old.len() - end).map(|line| format!("- {line}"));
    gone.chain(new.iter().take(new.len() - end).map(|line| format!("+ {line}"))).collect()
}

fn read(path: &Path) -> Result<Option<String>, SshConfigError> {
    let unfit = |reason| SshConfigError::Unfit { path: path.to_owned(), reason };
    match std::fs::metadata(path) {
        Ok(found) if found.len() > LARGEST => return Err(unfit("it is larger than 4 MiB")),
        Ok(found) if !found.is_file() => return Err(unfit("it is no file")),
        _ => {}
    }
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| unfit("it is not UTF-8")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("read", path, source)),
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> SshConfigError {
    SshConfigError::Io { doing, path: path.to_owned(), source }
}

/// Writes beside and renames, so that no ssh ever reads half of it. A link (kept dotfiles) stays one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().unwrap_or(Path::new("/"));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mode = std::fs::metadata(&target).map_or(0o600, |found| found.permissions().mode() & 0o777);
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".hop-{}", std::process::id()));
    let beside = target.with_file_name(name);
    let written = (|| {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &target)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket_directory::SocketDirectory;

    const OWN: &str = "# mine\nHost *\n    ControlMaster auto\n    ControlPath ~/.ssh/%C\n";

    fn alias(name: &str) -> Alias {
        Alias::parse(name).unwrap()
    }

    fn home(config: Option<&str>) -> (tempfile::TempDir, SshConfig) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        if let Some(text) = config {
            std::fs::write(home.path().join(".ssh/config"), text).unwrap();
        }
        let config = SshConfig::of_home(home.path());
        (home, config)
    }

    fn enable(config: &SshConfig, name: &str) -> Change {
        try_enable(config, name, "/usr/bin/hop").unwrap()
    }

    fn try_enable(config: &SshConfig, name: &str, hop: &str) -> Result<Change, SshConfigError> {
        let sockets = SocketDirectory::at("/tmp/hop-1000".into());
        let known_hosts = Path::new("/home/a/.local/state/hop/known_hosts");
        let alias = alias(name);
        config.enable(&alias, block(&alias, &Ours { hop: Path::new(hop), sockets: &sockets, known_hosts })?)
    }

    #[test]
    fn there_and_back_leaves_every_byte() {
        for own in [Some(OWN), Some(""), None] {
            let (home, config) = home(own);
            assert_eq!(config.standing(&alias("saga")).unwrap(), Standing::Absent);
            enable(&config, "saga").apply().unwrap();
            enable(&config, "lumi").apply().unwrap();
            assert!(enable(&config, "saga").is_empty(), "twice changes nothing");
            assert_eq!(config.enabled().unwrap(), [alias("saga"), alias("lumi")]);
            assert_eq!(config.standing(&alias("saga")).unwrap(), Standing::Enabled);
            let path = home.path().join(".ssh/config");
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{INCLUDE}\n{}", own.unwrap_or_default()));
            config.disable(&alias("saga")).unwrap().apply().unwrap();
            assert_eq!(config.standing(&alias("lumi")).unwrap(), Standing::Enabled);
            config.disable(&alias("lumi")).unwrap().apply().unwrap();
            let left = std::fs::read_to_string(&path).ok();
            assert_eq!(left.as_deref(), own.filter(|text| !text.is_empty()));
            assert!(!home.path().join(".ssh/hop.conf").exists());
        }
    }

    #[test]
    fn blocks_for_jupyter_live_beside_the_others() {
        for own in [Some(OWN), None] {
            let (home, config) = home(own);
            let jupyter = SshConfig::of_home_for_jupyter(home.path());
            let path = home.path().join(".ssh/config");
            let set = || jupyter.enable(&alias("hub"), "Host hub\n    User x\n".to_owned()).unwrap();
            set().apply().unwrap();
            assert!(set().is_empty(), "twice changes nothing");
            assert_eq!(jupyter.standing(&alias("hub")).unwrap(), Standing::Enabled);
            enable(&config, "saga").apply().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let both = format!("{INCLUDE}\n{INCLUDE_JUPYTER}\n");
            assert_eq!(text, format!("{both}{}", own.unwrap_or_default()));
            assert_eq!(jupyter.standing(&alias("hub")).unwrap(), Standing::Enabled);
            jupyter.disable(&alias("hub")).unwrap().apply().unwrap();
            assert_eq!(config.standing(&alias("saga")).unwrap(), Standing::Enabled);
            set().apply().unwrap();
            assert!(std::fs::read_to_string(&path).unwrap().starts_with(&both));
            config.disable(&alias("saga")).unwrap().apply().unwrap();
            jupyter.disable(&alias("hub")).unwrap().apply().unwrap();
            assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), own);
            assert!(!home.path().join(".ssh/hop-jupyter.conf").exists());
        }
        let (_home, config) = home(Some("Host *\n  X y\nhost = a \"hub\"\n"));
        assert!(config.is_own_host(&alias("hub")).unwrap());
        assert!(!config.is_own_host(&alias("hu")).unwrap());
    }

    #[test]
    fn an_include_that_stands_too_late_is_seen_and_moved() {
        let late = format!("{OWN}{INCLUDE}\n");
        let (home, config) = home(Some(&late));
        std::fs::write(home.path().join(".ssh/hop.conf"), "# hop: saga\nMatch x\n# hop end\n").unwrap();
        assert_eq!(config.standing(&alias("saga")).unwrap(), Standing::NotIncluded);
        enable(&config, "saga").apply().unwrap();
        let text = std::fs::read_to_string(home.path().join(".ssh/config")).unwrap();
        assert_eq!(text, format!("{INCLUDE}\n{OWN}"));
    }

    #[test]
    fn a_person_sees_what_changes() {
        let (home, config) = home(Some(OWN));
        let shown = enable(&config, "saga").diff();
        let path = home.path().join(".ssh/config");
        assert!(shown.contains(&format!("{}:\n  + {INCLUDE}\n", path.display())), "{shown}");
        assert!(shown.contains("  +     ControlPath /tmp/hop-1000/saga\n"), "{shown}");
        assert!(!shown.contains("Host *"), "{shown}");
        enable(&config, "saga").apply().unwrap();
        let shown = config.disable(&alias("saga")).unwrap().diff();
        assert!(shown.contains(&format!("  - {INCLUDE}\n")), "{shown}");
    }

    #[test]
    fn a_link_stays_a_link_and_a_mode_stays() {
        let (home, config) = home(None);
        let (dotfiles, link) = (home.path().join("dotfiles"), home.path().join(".ssh/config"));
        std::fs::write(&dotfiles, OWN).unwrap();
        std::fs::set_permissions(&dotfiles, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&dotfiles, &link).unwrap();
        enable(&config, "saga").apply().unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(std::fs::read_to_string(&dotfiles).unwrap().starts_with(INCLUDE));
        assert_eq!(std::fs::metadata(&dotfiles).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 2, "nothing is left beside it");
    }

    #[test]
    fn what_cannot_be_read_is_never_taken_for_empty() {
        let (home, config) = home(None);
        std::fs::write(home.path().join(".ssh/config"), b"Host \xff\n").unwrap();
        let error = try_enable(&config, "saga", "/usr/bin/hop").unwrap_err();
        assert!(error.to_string().contains("it is not UTF-8"), "{error}");
    }
}
