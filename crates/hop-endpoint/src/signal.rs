//! Signal names of RFC 4254: what a client may send (section 6.9) and how an ending is told (6.10).

use rustix::process::Signal;

/// The names that RFC 4254 section 6.10 lists, without "SIG".
const NAMES: &[(&str, Signal)] = &[
    ("ABRT", Signal::ABORT),
    ("ALRM", Signal::ALARM),
    ("FPE", Signal::FPE),
    ("HUP", Signal::HUP),
    ("ILL", Signal::ILL),
    ("INT", Signal::INT),
    ("KILL", Signal::KILL),
    ("PIPE", Signal::PIPE),
    ("QUIT", Signal::QUIT),
    ("SEGV", Signal::SEGV),
    ("TERM", Signal::TERM),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
];

/// Signals without a registered name that can end a process; told in the "name@domain" form of RFC 4250
/// section 4.6.1, so that a log on the other side says more than a number.
const PRIVATE_NAMES: &[(&str, Signal)] = &[
    ("BUS@grasshopper", Signal::BUS),
    ("SYS@grasshopper", Signal::SYS),
    ("TRAP@grasshopper", Signal::TRAP),
    ("VTALRM@grasshopper", Signal::VTALARM),
    ("PROF@grasshopper", Signal::PROF),
    ("XCPU@grasshopper", Signal::XCPU),
    ("XFSZ@grasshopper", Signal::XFSZ),
    ("IO@grasshopper", Signal::IO),
    ("PWR@grasshopper", Signal::POWER),
];

/// The signal that a client named, or nothing for a name we do not deliver.
pub fn from_name(name: &[u8]) -> Option<Signal> {
    NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, signal)| *signal)
}

/// The name for exit-signal of the signal with this number.
pub fn name_of(number: i32) -> &'static str {
    NAMES
        .iter()
        .chain(PRIVATE_NAMES)
        .find(|(_, signal)| signal.as_raw() == number)
        .map_or("OTHER@grasshopper", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_names_go_both_ways() {
        for (name, signal) in NAMES {
            assert_eq!(from_name(name.as_bytes()), Some(*signal));
            assert_eq!(name_of(signal.as_raw()), *name);
        }
    }

    #[test]
    fn other_names_are_told_but_not_taken() {
        for name in ["SIGTERM", "term", "", "STOP", "BUS", "BUS@grasshopper", "9"] {
            assert_eq!(from_name(name.as_bytes()), None, "{name}");
        }
        assert_eq!(name_of(7), "BUS@grasshopper");
        assert_eq!(name_of(40), "OTHER@grasshopper");
    }
}
