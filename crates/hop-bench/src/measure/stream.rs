//! One large stream through a session, with a real program at its end.

use std::fs::File;
use std::process::Stdio;

use super::{Measurement, Scale, Work, timed};
use crate::error::Error;
use crate::figures::{Figure, Goal};
use crate::lab::{Cipher, Lab};
use crate::process::finish;
use crate::server::{Kind, Running};

pub(super) fn measurements() -> [Measurement; 2] {
    [
        Measurement {
            name: "download",
            title: "download",
            what: "`ssh server cat FILE > /dev/null` of 1 GiB; the server's CPU with cat's",
            bound: "the kernel. Of the server's time `cat` takes two fifths to read the file and fill the pipe; copying from \
                    the pipe and into TCP, TCP itself over loopback, and waking the others take nearly all of the rest; \
                    AES takes 7 % and our own copy 5 %. Tried: pipes of 64 KiB to 1 MiB (a large one costs a sixth more, \
                    since its pages are out of the cache and both sides wait for its lock; 128 KiB is what `cat` \
                    writes at once); reads of 64 to 256 KiB; no read that would only hear that the pipe is empty; a \
                    turn as large as the output, so that nothing is queued and copied twice. Together a quarter less \
                    than before. On a busy machine sshd waits less in idle cores, and the ratio is worse.",
            work: Work::Compared {
                run: download,
                scale: Scale::Large,
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
                scale: Scale::Large,
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
