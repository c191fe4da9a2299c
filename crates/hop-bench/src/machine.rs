//! What the numbers were made on and with.

use std::path::Path;
use std::process::Command;

use crate::error::Error;
use crate::lab::Lab;
use crate::process;

/// The machine, the programs and how busy it was.
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) openssh: String,
    pub(crate) hop: String,
    pub(crate) shell: String,
    pub(crate) in_memory: bool,
    pub(crate) date: String,
    /// Load averages over one minute, before and after.
    pub(crate) load: [String; 2],
}

impl Machine {
    pub(crate) fn look(hop: &Path, lab: &Lab) -> Result<Self, Error> {
        let processors = read("/proc/cpuinfo")?;
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let name = rustix::system::uname();
        let version = Command::new("ssh").arg("-V").output();
        let version = version.map_err(|source| Error::Start { program: "ssh".into(), source })?;
        Ok(Self {
            processor: model.map_or("unknown", |(_, model)| model).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: name.release().to_string_lossy().into_owned(),
            // It says so on standard error.
            openssh: String::from_utf8_lossy(&version.stderr).trim().to_owned(),
            hop: process::output(&hop.to_string_lossy(), |command| {
                command.arg("--version");
            })?
            .trim()
            .to_owned(),
            shell: lab.account.shell.clone(),
            in_memory: lab.is_in_memory(),
            date: process::output("date", |command| {
                command.args(["-u", "+%F"]);
            })?
            .trim()
            .to_owned(),
            load: [load()?, String::new()],
        })
    }

    /// The same with the load of now as the load after.
    pub(crate) fn finished(mut self) -> Result<Self, Error> {
        self.load[1] = load()?;
        Ok(self)
    }
}

fn load() -> Result<String, Error> {
    let text = read("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

fn read(path: &str) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::file(Path::new(path)))
}
