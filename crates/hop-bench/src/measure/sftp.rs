//! Files by OpenSSH's `sftp`: one large, and many small.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{Measurement, Scale, Work, timed};
use crate::error::Error;
use crate::figures::{Figure, Goal};
use crate::lab::{Cipher, Lab, SMALL_FILES};
use crate::process::finish;
use crate::server::{Kind, Running};

const LARGE_GOAL: &[(Figure, Goal)] = &[(Figure::Wall, Goal::AtMost(0.85))];
const SMALL_GOAL: &[(Figure, Goal)] = &[(Figure::Wall, Goal::AtMost(0.7))];
const CLIENT_BOUND: &str = "the client: it asks for 32 KiB at a time and waits between files.";

pub(super) fn measurements() -> [Measurement; 4] {
    let measurement = |name, title, what, work| Measurement { name, title, what, bound: CLIENT_BOUND, work };
    let large = Scale::Large;
    [
        measurement(
            "get",
            "sftp get",
            "1 GiB by `sftp` from memory to memory",
            Work::Compared { run: get, scale: large, goals: LARGE_GOAL },
        ),
        measurement(
            "put",
            "sftp put",
            "1 GiB by `sftp` from memory to memory",
            Work::Compared { run: put, scale: large, goals: LARGE_GOAL },
        ),
        measurement(
            "get-many",
            "sftp get -r",
            "5,000 files of 4 KiB",
            Work::Compared { run: get_many, scale: Scale::Whole, goals: SMALL_GOAL },
        ),
        measurement(
            "put-many",
            "sftp put -r",
            "5,000 files of 4 KiB",
            Work::Compared { run: put_many, scale: Scale::Whole, goals: SMALL_GOAL },
        ),
    ]
}

fn get(lab: &Lab, _: Kind, cipher: Cipher, server: &Running) -> Result<f64, Error> {
    lab.empty_folder("local", false)?;
    let wall =
        sftp(lab, cipher, server, &format!("get {} {}\n", shown(lab, "large"), shown(lab, "local/large")))?;
    check(lab, "local/large")?;
    Ok(wall)
}

fn put(lab: &Lab, _: Kind, cipher: Cipher, server: &Running) -> Result<f64, Error> {
    lab.empty_folder("home", true)?;
    let wall =
        sftp(lab, cipher, server, &format!("put {} {}\n", shown(lab, "large"), shown(lab, "home/large")))?;
    check(lab, "home/large")?;
    Ok(wall)
}

fn get_many(lab: &Lab, _: Kind, cipher: Cipher, server: &Running) -> Result<f64, Error> {
    lab.empty_folder("local", false)?;
    let wall =
        sftp(lab, cipher, server, &format!("get -r {} {}\n", shown(lab, "small"), shown(lab, "local")))?;
    count(lab, "local/small")?;
    Ok(wall)
}

fn put_many(lab: &Lab, _: Kind, cipher: Cipher, server: &Running) -> Result<f64, Error> {
    lab.empty_folder("home", true)?;
    let wall =
        sftp(lab, cipher, server, &format!("put -r {} {}\n", shown(lab, "small"), shown(lab, "home")))?;
    count(lab, "home/small")?;
    Ok(wall)
}

fn shown(lab: &Lab, name: &str) -> String {
    lab.path(name).display().to_string()
}

fn sftp(lab: &Lab, cipher: Cipher, server: &Running, batch: &str) -> Result<f64, Error> {
    let path = lab.path("batch");
    let mut file = std::fs::File::create(&path).map_err(Error::file(&path))?;
    file.write_all(batch.as_bytes()).map_err(Error::file(&path))?;
    let mut command: Command = lab.client("sftp", server, cipher)?;
    command.arg("-b").arg(&path).arg("server");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    timed(|| finish(&mut command).map(drop))
}

fn check(lab: &Lab, name: &str) -> Result<(), Error> {
    let path = lab.path(name);
    let got = std::fs::metadata(&path).map_err(Error::file(&path))?.len();
    let wanted = lab.sizes.large;
    if got == wanted { Ok(()) } else { Err(Error::Short { what: "sftp", wanted, got }) }
}

fn count(lab: &Lab, name: &str) -> Result<(), Error> {
    let path = lab.path(name);
    let got = std::fs::read_dir(&path).map_err(Error::file(&path))?.count();
    if got == SMALL_FILES { Ok(()) } else { Err(Error::Unexpected("sftp did not copy all files")) }
}
