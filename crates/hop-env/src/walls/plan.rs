//! What is asked for: bubblewrap's words, read into a plan.

use super::WallsError;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

/// The walls and the program behind them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Whether the network stays the host's.
    pub(super) share_net: bool,
    pub(super) host_name: Option<OsString>,
    /// What stands in the new root, in order.
    pub(super) pieces: Vec<Piece>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) directory: Option<PathBuf>,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

/// One piece of the new root. Paths are absolute.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A file or directory of the host, with everything mounted below it.
    Bind {
        source: PathBuf,
        target: PathBuf,
        writable: bool,
    },
    Symlink {
        text: PathBuf,
        target: PathBuf,
    },
    Directory(PathBuf),
    /// With its size in bytes.
    Tmpfs {
        target: PathBuf,
        size: Option<u64>,
    },
    Proc(PathBuf),
    Devices(PathBuf),
    /// What stands there so far changes no more.
    ReadOnly(PathBuf),
}

impl Plan {
    /// Reads the words. All that bubblewrap could do and we do not is refused: a wall that was asked for is built.
    pub(super) fn parse(words: Vec<OsString>) -> Result<Self, WallsError> {
        let mut plan = Self::default();
        let mut isolated = Asked::default();
        let mut size = None;
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let option = word.to_str().unwrap_or("");
            let mut value = || words.next().ok_or_else(|| refused(&word, "wants a value"));
            match option {
                "--unshare-all" => isolated.all = true,
                "--unshare-user" => isolated.user = true,
                "--disable-userns" => isolated.no_more = true,
                "--die-with-parent" => isolated.life = true,
                "--new-session" => isolated.session = true,
                "--clearenv" => isolated.environment = true,
                "--share-net" => plan.share_net = true,
                "--cap-drop" if value()? == "ALL" => isolated.capabilities = true,
                "--hostname" => plan.host_name = Some(value()?),
                "--chdir" => plan.directory = Some(absolute(value()?)?),
                "--setenv" => plan.environment.push((value()?, value()?)),
                "--size" => {
                    let text = value()?;
                    let bytes = text.to_str().and_then(|text| text.parse().ok());
                    size = Some(bytes.ok_or_else(|| refused(&text, "is no size"))?);
                }
                "--bind" | "--ro-bind" => {
                    let (source, target) = (absolute(value()?)?, absolute(value()?)?);
                    plan.pieces.push(Piece::Bind { source, target, writable: option == "--bind" });
                }
                "--symlink" => {
                    let (text, target) = (value()?.into(), absolute(value()?)?);
                    plan.pieces.push(Piece::Symlink { text, target });
                }
                "--dir" => plan.pieces.push(Piece::Directory(absolute(value()?)?)),
                "--tmpfs" => {
                    plan.pieces.push(Piece::Tmpfs { target: absolute(value()?)?, size: size.take() });
                }
                "--proc" => plan.pieces.push(Piece::Proc(absolute(value()?)?)),
                "--dev" => plan.pieces.push(Piece::Devices(absolute(value()?)?)),
                "--remount-ro" => plan.pieces.push(Piece::ReadOnly(absolute(value()?)?)),
                "--" => break,
                _ => return Err(refused(&word, "is not known")),
            }
        }
        if isolated != Asked::everything() {
            return Err(refused(OsStr::new("these walls"), "are only built whole: see Plan::parse"));
        }
        plan.program = words.next().ok_or_else(|| refused(OsStr::new("--"), "wants a program"))?.into();
        plan.arguments = words.collect();
        Ok(plan)
    }
}

/// The walls that are always built, and must be asked for by name, so that a command line says what it does.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    all: bool,
    user: bool,
    no_more: bool,
    life: bool,
    session: bool,
    environment: bool,
    capabilities: bool,
}

impl Asked {
    fn everything() -> Self {
        Self {
            all: true,
            user: true,
            no_more: true,
            life: true,
            session: true,
            environment: true,
            capabilities: true,
        }
    }
}

/// A path without anything that leads elsewhere than it says.
fn absolute(word: OsString) -> Result<PathBuf, WallsError> {
    let path = PathBuf::from(&word);
    let straight = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    if path.is_absolute() && straight { Ok(path) } else { Err(refused(&word, "is no absolute path")) }
}

fn refused(word: &OsStr, why: &str) -> WallsError {
    WallsError {
        step: "build walls".to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidInput, format!("{} {why}", word.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "--unshare-all --unshare-user --disable-userns --die-with-parent --new-session --clearenv --cap-drop ALL";

    fn parse(more: &str) -> Result<Plan, WallsError> {
        Plan::parse(format!("{WHOLE} {more}").split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn words_become_a_plan() {
        let plan = parse(
            "--hostname h --ro-bind /usr /usr --size 7 --tmpfs /tmp --tmpfs /run --bind /a /b --setenv A b \
             --chdir /b --remount-ro / -- /bin/true --tmpfs /x",
        )
        .unwrap();
        assert_eq!(plan.host_name, Some("h".into()));
        assert_eq!(plan.environment, [("A".into(), "b".into())]);
        assert_eq!((plan.program, plan.arguments), ("/bin/true".into(), vec!["--tmpfs".into(), "/x".into()]));
        assert_eq!(
            plan.pieces,
            [
                Piece::Bind { source: "/usr".into(), target: "/usr".into(), writable: false },
                Piece::Tmpfs { target: "/tmp".into(), size: Some(7) },
                Piece::Tmpfs { target: "/run".into(), size: None },
                Piece::Bind { source: "/a".into(), target: "/b".into(), writable: true },
                Piece::ReadOnly("/".into()),
            ]
        );
    }

    #[test]
    fn what_is_not_understood_builds_nothing() {
        for wrong in [
            "--seccomp 3 -- /bin/true",
            "--bind /a",
            "--bind a /b -- x",
            "--ro-bind /a /b/../c -- x",
            "--",
            "",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(
            Plan::parse(vec!["--unshare-all".into(), "--".into(), "/bin/true".into()]).is_err(),
            "half of it"
        );
    }
}
