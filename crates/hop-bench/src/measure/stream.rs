//! One large stream through a session, with a real program at its end.

use std::fs::File;
use std::process::Stdio;

use super::{Measurement, Scale, Work, timed};
use crate::error::Error;
use crate::figures::{Figure, Goal};
use crate::lab::{Cipher, LARGE, Lab};
use crate::process::finish;
use crate::server::{Kind, Running};

pub(super) fn measurements() -> [Measurement; 2] {
    [
        Measurement {
            name: "download",
            title: "download",
            what: "`ssh server cat FILE > /dev/null` of 1 GiB; the server's CPU with cat's",
            bound: "the client, which decrypts, and `cat` with its pipe.",
            work: Work::Compared {
                run: download,
                scale: Scale::Bytes(LARGE),
                goals: &[(Figure::Wall, Goal::AtMost(0.65)), (Figure::ServerCpu, Goal::AtMost(0.6))],
            },
        },
        Measurement {
            name: "upload",
            title: "upload",
            what: "`ssh server 'cat > /dev/null' < FILE` of 1 GiB; the server's CPU with cat's",
            bound: "the client, which reads, encrypts and writes 16 to 32 KiB at a time.",
            work: Work::Compared {
                run: upload,
                scale: Scale::Bytes(LARGE),
                goals: &[(Figure::Wall, Goal::AtMost(0.9)), (Figure::ServerCpu, Goal::AtMost(0.6))],
            },
        },
    ]
}

fn download(lab: &Lab, _: Kind, cipher: Cipher, server: &Running) -> Result<f64, Error> {
    let mut command = lab.client("ssh", server, cipher)?;
    command.arg("server").arg("cat").arg(lab.path("large"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    timed(|| finish(&mut command).map(drop))
}

fn upload(lab: &Lab, _: Kind, cipher: Cipher, server: &Running) -> Result<f64, Error> {
    let path = lab.path("large");
    let mut command = lab.client("ssh", server, cipher)?;
    command.args(["server", "cat > /dev/null"]);
    command
        .stdin(File::open(&path).map_err(Error::file(&path))?)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    timed(|| finish(&mut command).map(drop))
}
