//! The wheel in fresh environments of every Python that is present: `pip install` and nothing else.

use std::path::{Path, PathBuf};

use hop_e2e::program::python_of_hub;
use hop_e2e::wheel::wheel;
use hop_e2e::{Run, Scratch};

/// The minor versions of Python 3 that people have: from the `requires-python` of `python/pyproject.toml` on.
const MINORS: std::ops::RangeInclusive<u32> = 9..=14;
/// The version of Debian 12, which is always there.
const ALWAYS: u32 = 11;

/// A Python of this version that makes complete environments: of PATH, or of pyenv, whose commands in PATH only lead to
/// the versions that are switched on.
fn python(minor: u32) -> Option<PathBuf> {
    let name = format!("python3.{minor}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<_> = std::env::split_paths(&path).map(|folder| folder.join(&name)).collect();
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".pyenv")));
    if let Some(versions) = pyenv.and_then(|root| std::fs::read_dir(root.join("versions")).ok()) {
        found.extend(versions.filter_map(Result::ok).map(|version| version.path().join("bin").join(&name)));
    }
    let wanted = format!("3.{minor}\n");
    let asked = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])";
    found.retain(|python| python.is_file());
    found.into_iter().find(|python| {
        let said = Run::new(python).args(["-c", asked]).finish();
        said.status == Some(0) && said.stdout() == wanted
    })
}

/// A fresh environment, with the pip that its Python brings.
struct Environment {
    scratch: Scratch,
    folder: PathBuf,
}

impl Environment {
    fn of(python: &Path) -> Self {
        let scratch = Scratch::new();
        let folder = scratch.join("env");
        let _ = Run::new(python).args(["-m", "venv"]).arg(&folder).success();
        Self { scratch, folder }
    }

    fn hop(&self) -> PathBuf {
        self.folder.join("bin/hop")
    }

    /// Its Python, for somebody who has nothing but this environment.
    fn python(&self) -> Run {
        let home = self.scratch.folder("home");
        let run = Run::new(self.folder.join("bin/python")).current_dir(&home);
        run.env("HOME", &home).env("PATH", "/usr/bin:/bin").env("JUPYTER_PREFER_ENV_PATH", "1")
    }

    fn says(&self, code: &str) -> String {
        self.python().args(["-c", code]).success().stdout()
    }

    /// `pip install` of the wheel, from this machine alone, whatever the settings of its pip.
    fn pip_install(&self) -> Run {
        let pip = self.python().args(["-m", "pip", "--isolated", "install", "--no-index"]);
        pip.arg("--disable-pip-version-check").arg(wheel())
    }
}

#[test]
fn every_python_that_is_present_takes_the_wheel() {
    for minor in MINORS {
        let Some(python) = python(minor) else {
            assert!(
                minor != ALWAYS,
                "Python 3.{minor} with venv is missing: install the Debian package python3-venv"
            );
            eprintln!("Python 3.{minor}: not present here, so not tried");
            continue;
        };
        let environment = Environment::of(&python);
        // Jupyter's own packages are not here for every version; the package is the program alone without them.
        let _ = environment.pip_install().arg("--no-deps").success();
        let version = Run::new(environment.hop()).arg("--version").success().stdout();
        let asked = "import grasshopper_ssh; from importlib.metadata import version; print('hop', version('grasshopper-ssh'))";
        assert_eq!(environment.says(asked), version, "Python 3.{minor}");
        let found = environment.says("from grasshopper_ssh.program import find_hop; print(find_hop())");
        assert_eq!(Path::new(found.trim_end()), environment.hop(), "Python 3.{minor}");
        // The modules that want Jupyter cannot be imported; this version must be able to read them.
        let package = environment.says("import grasshopper_ssh; print(grasshopper_ssh.__path__[0])");
        let _ = environment.python().args(["-m", "compileall", "-q", "-f", package.trim_end()]).success();
        eprintln!("Python 3.{minor}: installed and works ({})", python.display());
    }
}

#[test]
fn pip_install_alone_enables_the_extension() {
    let environment = Environment::of(&python_of_hub());
    // Those of the Hub stand for what the package asks for, which pip would download: it looks for each of them.
    let asked = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let of_hub = Run::new(python_of_hub()).args(["-c", asked]).success().stdout();
    let lead = Path::new(environment.says(asked).trim_end()).join("hub.pth");
    let list = || {
        let listed = environment.python().args(["-m", "jupyter_server", "extension", "list"]).finish();
        // In colours, even for a pipe.
        format!("{}{}", listed.stdout(), listed.stderr()).replace("\u{1b}[32m", "").replace("\u{1b}[0m", "")
    };
    let refused = environment.pip_install().status(1).stderr().replace('_', "-");
    assert!(refused.contains("jupyter-server>=2.0"), "the wheel does not ask for it: {refused}");
    std::fs::write(lead, of_hub).unwrap();
    assert!(!list().contains("grasshopper_ssh"), "{}", list());
    let _ = environment.pip_install().success();
    let listed = list();
    assert!(listed.contains("grasshopper_ssh enabled"), "{listed}");
    assert!(listed.lines().any(|line| line.contains("grasshopper_ssh") && line.contains("OK")), "{listed}");
}
