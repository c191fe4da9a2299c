//! Encoded terminal modes of a pty-req: RFC 4254 section 8, with IUTF8 of RFC 8160.
//!
//! The blob comes from the peer: whatever is in it, parsing ends, keeps at most one entry for every five
//! bytes, and never fails; what we do not know is left as the terminal has it.

use rustix::termios::{ControlModes, InputModes, LocalModes, OutputModes, SpecialCodeIndex, Termios};

const TTY_OP_END: u8 = 0;
/// From here on, arguments have no known length: "cause parsing to stop" (RFC 4254 section 8).
const FIRST_UNDEFINED: u8 = 160;
/// On the wire, 255 says that a special character is switched off; Linux's own value for that is 0.
const WIRE_DISABLED: u32 = 255;
const TERMINAL_DISABLED: u8 = 0;

const CS7: u8 = 90;
const CS8: u8 = 91;
const INPUT_SPEED: u8 = 128;
const OUTPUT_SPEED: u8 = 129;

/// What one opcode sets.
#[derive(Debug, Clone, Copy)]
enum Setting {
    Character(SpecialCodeIndex),
    Input(InputModes),
    Local(LocalModes),
    Output(OutputModes),
    Control(ControlModes),
}

/// Modes in the order in which the client wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TerminalModes {
    /// Opcode (1 to 159) and argument.
    entries: Vec<(u8, u32)>,
}

impl TerminalModes {
    /// Reads the blob up to TTY_OP_END, an opcode without defined argument, or its end (some clients send
    /// no end mark, some nothing at all).
    pub fn parse(mut blob: &[u8]) -> Self {
        let mut entries = Vec::new();
        while let Some((&opcode, rest)) = blob.split_first() {
            if opcode == TTY_OP_END || opcode >= FIRST_UNDEFINED {
                break;
            }
            let Some((argument, rest)) = rest.split_first_chunk::<4>() else { break };
            entries.push((opcode, u32::from_be_bytes(*argument)));
            blob = rest;
        }
        Self { entries }
    }

    /// Sets what was asked on `terminal`; unknown opcodes and impossible speeds change nothing.
    pub fn apply(&self, terminal: &mut Termios) {
        for &(opcode, argument) in &self.entries {
            let on = argument != 0;
            match opcode {
                // Two flags on the wire, one two-bit field here. Clients derive CS7 by masking that field,
                // so 8 bits arrive as "CS7 on, CS8 on".
                CS7 if on => set_size(terminal, ControlModes::CS7),
                CS8 if on => set_size(terminal, ControlModes::CS8),
                // Speed 0 is "hang up": clients send it for speeds they cannot name.
                INPUT_SPEED if on => drop(terminal.set_input_speed(argument)),
                OUTPUT_SPEED if on => drop(terminal.set_output_speed(argument)),
                _ => match setting(opcode) {
                    Some(Setting::Character(index)) => {
                        terminal.special_codes[index] = match argument {
                            WIRE_DISABLED => TERMINAL_DISABLED,
                            other => u8::try_from(other).unwrap_or(TERMINAL_DISABLED),
                        };
                    }
                    Some(Setting::Input(flag)) => terminal.input_modes.set(flag, on),
                    Some(Setting::Local(flag)) => terminal.local_modes.set(flag, on),
                    Some(Setting::Output(flag)) => terminal.output_modes.set(flag, on),
                    Some(Setting::Control(flag)) => terminal.control_modes.set(flag, on),
                    None => {}
                },
            }
        }
    }
}

fn set_size(terminal: &mut Termios, size: ControlModes) {
    terminal.control_modes.remove(ControlModes::CSIZE);
    terminal.control_modes.insert(size);
}

/// The table of RFC 4254 section 8, less what Linux does not have (VDSUSP 11, VFLUSH 15, VSTATUS 17).
fn setting(opcode: u8) -> Option<Setting> {
    use Setting::{Character, Control, Input, Local, Output};
    Some(match opcode {
        1 => Character(SpecialCodeIndex::VINTR),
        2 => Character(SpecialCodeIndex::VQUIT),
        3 => Character(SpecialCodeIndex::VERASE),
        4 => Character(SpecialCodeIndex::VKILL),
        5 => Character(SpecialCodeIndex::VEOF),
        6 => Character(SpecialCodeIndex::VEOL),
        7 => Character(SpecialCodeIndex::VEOL2),
        8 => Character(SpecialCodeIndex::VSTART),
        9 => Character(SpecialCodeIndex::VSTOP),
        10 => Character(SpecialCodeIndex::VSUSP),
        12 => Character(SpecialCodeIndex::VREPRINT),
        13 => Character(SpecialCodeIndex::VWERASE),
        14 => Character(SpecialCodeIndex::VLNEXT),
        16 => Character(SpecialCodeIndex::VSWTC),
        18 => Character(SpecialCodeIndex::VDISCARD),
        30 => Input(InputModes::IGNPAR),
        31 => Input(InputModes::PARMRK),
        32 => Input(InputModes::INPCK),
        33 => Input(InputModes::ISTRIP),
        34 => Input(InputModes::INLCR),
        35 => Input(InputModes::IGNCR),
        36 => Input(InputModes::ICRNL),
        37 => Input(InputModes::IUCLC),
        38 => Input(InputModes::IXON),
        39 => Input(InputModes::IXANY),
        40 => Input(InputModes::IXOFF),
        41 => Input(InputModes::IMAXBEL),
        42 => Input(InputModes::IUTF8),
        50 => Local(LocalModes::ISIG),
        51 => Local(LocalModes::ICANON),
        52 => Local(LocalModes::XCASE),
        53 => Local(LocalModes::ECHO),
        54 => Local(LocalModes::ECHOE),
        55 => Local(LocalModes::ECHOK),
        56 => Local(LocalModes::ECHONL),
        57 => Local(LocalModes::NOFLSH),
        58 => Local(LocalModes::TOSTOP),
        59 => Local(LocalModes::IEXTEN),
        60 => Local(LocalModes::ECHOCTL),
        61 => Local(LocalModes::ECHOKE),
        62 => Local(LocalModes::PENDIN),
        70 => Output(OutputModes::OPOST),
        71 => Output(OutputModes::OLCUC),
        72 => Output(OutputModes::ONLCR),
        73 => Output(OutputModes::OCRNL),
        74 => Output(OutputModes::ONOCR),
        75 => Output(OutputModes::ONLRET),
        92 => Control(ControlModes::PARENB),
        93 => Control(ControlModes::PARODD),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustix::termios::tcgetattr;

    use super::*;

    fn fresh() -> Termios {
        let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR).unwrap();
        tcgetattr(&master).unwrap()
    }

    fn entry(opcode: u8, argument: u32) -> Vec<u8> {
        let mut bytes = vec![opcode];
        bytes.extend(argument.to_be_bytes());
        bytes
    }

    #[test]
    fn parsing_stops_where_the_rfc_says() {
        struct Case(&'static [u8], &'static [(u8, u32)]);
        let cases = [
            Case(b"", &[]),
            Case(b"\0", &[]),
            Case(b"\x01\0\0\0\x03\0", &[(1, 3)]),
            Case(b"\x01\0\0\0\x03", &[(1, 3)]),
            Case(b"\x35\0\0\0\0\x80\0\0\x96\0\0\x01\0\0\0\x09", &[(53, 0), (128, 38400)]),
            // Unknown, but below 160: four bytes to skip.
            Case(b"\x9f\0\0\0\x07\x01\0\0\0\x03\0", &[(159, 7), (1, 3)]),
            // 160 and above: nobody knows how long, so nothing after it counts.
            Case(b"\x01\0\0\0\x03\xa0\0\0\0\x07\x02\0\0\0\x04\0", &[(1, 3)]),
            Case(b"\x01\0\0\0\x03\xff", &[(1, 3)]),
            // Cut short.
            Case(b"\x01\0\0\0\x03\x02\0\0\0", &[(1, 3)]),
        ];
        for Case(blob, entries) in cases {
            assert_eq!(TerminalModes::parse(blob).entries, entries, "{blob:?}");
        }
    }

    #[test]
    fn every_flag_goes_on_and_off_alone() {
        for opcode in (30..=42).chain(50..=62).chain(70..=75).chain(92..=93) {
            let start = fresh();
            let mut on = start.clone();
            TerminalModes::parse(&entry(opcode, 1)).apply(&mut on);
            let mut off = on.clone();
            TerminalModes::parse(&entry(opcode, 0)).apply(&mut off);
            let bits = |termios: &Termios| {
                termios.input_modes.bits().count_ones()
                    + termios.output_modes.bits().count_ones()
                    + termios.control_modes.bits().count_ones()
                    + termios.local_modes.bits().count_ones()
            };
            assert_eq!(bits(&on), bits(&off) + 1, "opcode {opcode}");
        }
    }

    #[test]
    fn flags_land_where_they_belong() {
        let mut terminal = fresh();
        let blob = [entry(42, 1), entry(53, 0), entry(72, 0), entry(92, 1), entry(38, 0)].concat();
        TerminalModes::parse(&blob).apply(&mut terminal);
        assert!(terminal.input_modes.contains(InputModes::IUTF8));
        assert!(!terminal.input_modes.contains(InputModes::IXON));
        assert!(!terminal.local_modes.contains(LocalModes::ECHO));
        assert!(!terminal.output_modes.contains(OutputModes::ONLCR));
        assert!(terminal.control_modes.contains(ControlModes::PARENB));
    }

    #[test]
    fn characters_are_set_and_switched_off() {
        let cases: &[(u8, u32, SpecialCodeIndex, u8)] = &[
            (1, 3, SpecialCodeIndex::VINTR, 3),
            (3, 127, SpecialCodeIndex::VERASE, 127),
            (5, 255, SpecialCodeIndex::VEOF, 0),
            (10, 26, SpecialCodeIndex::VSUSP, 26),
            (16, 1, SpecialCodeIndex::VSWTC, 1),
            (18, 0x0001_0003, SpecialCodeIndex::VDISCARD, 0),
        ];
        for (opcode, argument, index, value) in cases {
            let mut terminal = fresh();
            TerminalModes::parse(&entry(*opcode, *argument)).apply(&mut terminal);
            assert_eq!(terminal.special_codes[*index], *value, "opcode {opcode}");
        }
    }

    #[test]
    fn character_size_follows_the_stronger_flag() {
        let cases = [
            (vec![(90, 1), (91, 1)], ControlModes::CS8),
            (vec![(90, 0), (91, 1)], ControlModes::CS8),
            (vec![(90, 1), (91, 0)], ControlModes::CS7),
            (vec![(90, 0), (91, 0)], ControlModes::CS8),
        ];
        for (entries, size) in cases {
            let mut terminal = fresh();
            let blob: Vec<u8> = entries.iter().flat_map(|(opcode, on)| entry(*opcode, *on)).collect();
            TerminalModes::parse(&blob).apply(&mut terminal);
            assert_eq!(terminal.control_modes & ControlModes::CSIZE, size, "{entries:?}");
        }
    }

    #[test]
    fn speeds_are_taken_and_a_hang_up_is_not() {
        let mut terminal = fresh();
        TerminalModes::parse(&[entry(128, 9600), entry(129, 115_200)].concat()).apply(&mut terminal);
        assert_eq!((terminal.input_speed(), terminal.output_speed()), (9600, 115_200));
        TerminalModes::parse(&[entry(128, 0), entry(129, 0)].concat()).apply(&mut terminal);
        assert_eq!((terminal.input_speed(), terminal.output_speed()), (9600, 115_200));
    }

    proptest! {
        #[test]
        fn any_blob_is_parsed_and_applied(blob: Vec<u8>) {
            let modes = TerminalModes::parse(&blob);
            prop_assert!(modes.entries.len() * 5 <= blob.len());
            modes.apply(&mut fresh());
        }
    }
}
