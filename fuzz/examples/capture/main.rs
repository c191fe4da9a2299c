//! Makes fuzz/seeds anew from what real programs write: OpenSSH's client, server, agent, sftp and ssh-keygen.
//!
//! Run it in fuzz/: `cargo run --example capture`. It needs root (for a server to log in to) and OpenSSH.

mod keys;
mod sftp;
mod ssh;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where seeds go, and a folder to work in.
pub struct Desk {
    seeds: PathBuf,
    pub work: PathBuf,
}

fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let work = std::env::temp_dir().join(format!("hop-capture-{}", std::process::id()));
    fs::create_dir_all(&work).expect("a folder to work in");
    let desk = Desk { seeds: here.join("seeds"), work };
    let _ = fs::remove_dir_all(&desk.seeds);
    keys::capture(&desk);
    sftp::capture(&desk);
    ssh::capture(&desk);
    fs::remove_dir_all(&desk.work).expect("the folder goes");
}

impl Desk {
    /// Keeps one seed.
    pub fn keep(&self, target: &str, name: &str, bytes: &[u8]) {
        let folder = self.seeds.join(target);
        fs::create_dir_all(&folder).expect("a folder for the seeds");
        assert!(bytes.len() <= 16 * 1024, "{target}/{name} has {} bytes: too many for a seed", bytes.len());
        fs::write(folder.join(name), bytes).expect("a seed is written");
    }

    pub fn path(&self, name: &str) -> String {
        self.work.join(name).to_str().expect("a path of text").to_owned()
    }
}

/// Runs a program to its end, which must be good.
pub fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().expect("the program starts");
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

/// The steps of a script, as `hop_ssh::fuzzing` reads them: a number, then a length, then bytes.
pub fn step(number: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a payload for a script").to_be_bytes();
    [&[number], &length[..], payload].concat()
}

/// The same with 32-bit lengths and no number, as most streams have them.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    [&u32::try_from(payload.len()).expect("short").to_be_bytes()[..], payload].concat()
}

/// Cuts a stream of such frames.
pub fn frames(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((length, rest)) = stream.split_first_chunk::<4>() {
        let Some((frame, rest)) = rest.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
        found.push(frame.to_vec());
        stream = rest;
    }
    found
}
