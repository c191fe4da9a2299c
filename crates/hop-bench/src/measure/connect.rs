//! Connections one after the other, each with one short command.

use std::process::Stdio;

use super::{Measurement, Scale, Work, timed};
use crate::error::Error;
use crate::figures::{Figure, Goal};
use crate::lab::{Cipher, Lab};
use crate::process::finish;
use crate::server::{Kind, Running};

const COUNT: usize = 20;

pub(super) fn measurement() -> Measurement {
    Measurement {
        name: "connect",
        title: "connect and `true`",
        what: "`ssh server true`, 20 times one after the other; per connection",
        bound: "the client's own start and cryptography (8 ms of its CPU), and the shell's. Nobody waits for a delayed \
                acknowledgement any more: the server asks for its first ones to leave at once.",
        work: Work::Compared {
            run,
            scale: Scale::Each(COUNT),
            goals: &[(Figure::Wall, Goal::AtMost(0.45)), (Figure::ServerCpu, Goal::AtMost(0.15))],
        },
    }
}

fn run(lab: &Lab, _: Kind, cipher: Cipher, server: &Running) -> Result<f64, Error> {
    let mut command = lab.client("ssh", server, cipher)?;
    command.args(["server", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    timed(|| {
        for _ in 0..COUNT {
            finish(&mut command)?;
        }
        Ok(())
    })
}
