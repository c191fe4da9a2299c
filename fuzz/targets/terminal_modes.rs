//! The encoded modes of a pty request, set on a terminal.
#![no_main]

use hop_endpoint::terminal_modes::TerminalModes;
use rustix::pty::{OpenptFlags, openpt};
use rustix::termios::{Termios, tcgetattr};
use std::sync::OnceLock;

fn terminal() -> &'static Termios {
    static TERMINAL: OnceLock<Termios> = OnceLock::new();
    TERMINAL.get_or_init(|| {
        let pty = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        tcgetattr(pty).expect("its modes")
    })
}

hop_fuzz::target!(8, |bytes| {
    let mut terminal = terminal().clone();
    TerminalModes::parse(bytes).apply(&mut terminal);
});
