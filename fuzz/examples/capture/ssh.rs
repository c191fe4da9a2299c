//! Seeds of SSH itself: what OpenSSH's client says to a server of ours, and its server to a client of ours.

mod client;
mod server;

use crate::{Desk, frame, step};
use hop_ssh::fuzzing;

/// What one connection said.
#[derive(Default)]
pub struct Record {
    /// The peer's bytes up to its NEWKEYS.
    pub plain: Vec<u8>,
    /// The peer's payloads of user authentication.
    pub userauth: Vec<Vec<u8>>,
    /// Payloads after that: whether the peer sent it, and what.
    pub connection: Vec<(bool, Vec<u8>)>,
}

pub fn capture(desk: &Desk) {
    for (name, record) in server::sessions(desk) {
        desk.keep("transport_before_keys", &name, &[&[0, 255], &record.plain[..]].concat());
        keep_userauth(desk, "userauth_server", &name, &[], &record);
        keep_connection(desk, &name, true, &record);
        keep_modes(desk, &name, &record);
    }
    for (name, record) in client::sessions(desk) {
        desk.keep("transport_before_keys", &name, &[&[1, 255], &record.plain[..]].concat());
        keep_userauth(desk, "userauth_client", &name, &[3], &record);
        keep_connection(desk, &name, false, &record);
    }
    for (name, hostbound) in [("signed", false), ("signed-hostbound", true)] {
        desk.keep("userauth_server", name, &fuzzing::honest_login(hostbound));
    }
    for (name, state) in fuzzing::states() {
        desk.keep("state", name, &state);
    }
    questions(desk);
}

fn keep_userauth(desk: &Desk, target: &str, name: &str, options: &[u8], record: &Record) {
    let steps = record.userauth.iter().flat_map(|payload| step(3, payload));
    let script: Vec<u8> = options.iter().copied().chain(steps).collect();
    if script.len() < 6000 {
        desk.keep(target, name, &script);
    }
}

/// Scripts for whatever sees payloads after the login.
fn keep_connection(desk: &Desk, name: &str, peer_is_client: bool, record: &Record) {
    let (mut channels, mut relay, mut sealed) = (Vec::new(), Vec::new(), vec![u8::from(!peer_is_client)]);
    let mut bare = [&[63], &b"HOP-BARE-1\n"[..]].concat();
    for (from_peer, payload) in &record.connection {
        let from_client = *from_peer == peer_is_client;
        relay.extend(step(if from_client { 0 } else { 0x80 }, payload));
        // Room in the sockets.
        relay.extend([5, 12, 255, 0x85, 12, 255]);
        if *from_peer {
            channels.extend(step(0, payload));
            // Take what arrived and grant it; take requests of the first channel and grant them; read.
            channels.extend([7, 1, 13, 0, 15, 0x80, 8, 0, 12, 255]);
            sealed.extend(step(0, payload));
            bare.extend(frame(payload));
        } else {
            match payload.first() {
                // Our own opens and requests, data, EOF and CLOSE.
                Some(90) => channels.push(0x8b),
                Some(98) => channels.extend([0xbb, 0, 0, 9]),
                Some(94) => channels.extend([9, 0, 4, 100]),
                Some(96) => channels.extend([12, 0]),
                Some(97) => channels.extend([0x1c, 0]),
                _ => {}
            }
            sealed.extend([10, 2, 50]);
        }
        channels.extend([10, 12, 255]);
        sealed.extend([7, 12, 255]);
    }
    // Keys are replaced in the middle of it, from both sides.
    sealed.extend([6, 7, 12, 255, 8, 12, 255, 7, 12, 255, 8, 12, 255]);
    sealed.extend([5, 8, 12, 255, 7, 12, 255, 8, 12, 255, 7, 12, 255, 12, 9, 200]);
    for (target, script) in
        [("channels", channels), ("relay", relay), ("transport_after_keys", sealed), ("bare", bare)]
    {
        if script.len() <= 4096 {
            desk.keep(target, name, &script);
        }
    }
}

/// The modes of a pty-req: the last string of the request.
fn keep_modes(desk: &Desk, name: &str, record: &Record) {
    for (_, payload) in &record.connection {
        let Some(at) = payload.windows(7).position(|part| part == b"pty-req") else { continue };
        let mut rest = &payload[at + 8..];
        let term = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        rest = &rest[4 + term + 16 + 4..];
        desk.keep("terminal_modes", name, rest);
    }
}

/// A round of questions, which OpenSSH's server asks only with PAM.
fn questions(desk: &Desk) {
    let mut request = vec![60];
    for text in ["Login", "Visit https://example.org/ and enter ABCD", ""] {
        request.extend(frame(text.as_bytes()));
    }
    request.extend(2_u32.to_be_bytes());
    for (prompt, echo) in [("Password: ", 0), ("Code: ", 1)] {
        request.extend(frame(prompt.as_bytes()));
        request.push(echo);
    }
    let accept = [&[6], &frame(b"ssh-userauth")[..]].concat();
    let failure = [&[51], &frame(b"publickey,keyboard-interactive")[..], &[0]].concat();
    let banner = [&[53], &frame(b"welcome\r\n")[..], &frame(b"")].concat();
    let steps = [&accept, &banner, &failure, &failure, &request, &request, &vec![52]];
    let script: Vec<u8> = [3].into_iter().chain(steps.iter().flat_map(|payload| step(3, payload))).collect();
    desk.keep("userauth_client", "questions", &script);
}
