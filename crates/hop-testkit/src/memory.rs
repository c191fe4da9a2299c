//! What a process costs: memory and descriptors, as Linux tells it under `/proc`.

use std::io;
use std::path::PathBuf;

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// The most that was ever resident, or since [`reset_peak`].
    pub peak: u64,
}

impl Memory {
    /// That of the process with this id.
    pub fn of(process: u32) -> io::Result<Self> {
        let status = std::fs::read_to_string(entry(process, "status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kib * 1024)
        };
        match (field("VmRSS:"), field("VmHWM:")) {
            (Some(resident), Some(peak)) => Ok(Self { resident, peak }),
            // A process that has ended and is not waited for has no memory.
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// What a process holds of the machine's memory, in bytes, as `/proc/PID/smaps_rollup` tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Resident, shared pages counted in full.
    pub resident: u64,
    /// Resident, each shared page counted by the number of processes that share it: shares can be added up.
    pub proportional: u64,
    /// What would be free if it ended.
    pub private: u64,
}

impl Share {
    /// That of the process with this id. Needs its user, or root.
    pub fn of(process: u32) -> io::Result<Self> {
        let rollup = std::fs::read_to_string(entry(process, "smaps_rollup"))?;
        let field = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().strip_suffix(" kB").and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
        };
        Ok(Self {
            resident: field("Rss:"),
            proportional: field("Pss:"),
            private: field("Private_Clean:") + field("Private_Dirty:"),
        })
    }
}

impl std::ops::Add for Share {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            resident: self.resident + other.resident,
            proportional: self.proportional + other.proportional,
            private: self.private + other.private,
        }
    }
}

/// Forgets the peak so far: it counts from now on.
pub fn reset_peak(process: u32) -> io::Result<()> {
    // proc(5): 5 resets the peak resident set size to the present one.
    std::fs::write(entry(process, "clear_refs"), "5")
}

/// How many descriptors a process has open.
pub fn descriptors(process: u32) -> io::Result<usize> {
    Ok(std::fs::read_dir(entry(process, "fd"))?.count())
}

fn entry(process: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{process}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_used_and_given_back_shows_in_the_peak() {
        let own = std::process::id();
        reset_peak(own).unwrap();
        let before = Memory::of(own).unwrap();
        let block = vec![1_u8; 64 << 20];
        assert_eq!(block.iter().map(|byte| u64::from(*byte)).sum::<u64>(), 64 << 20);
        drop(block);
        let after = Memory::of(own).unwrap();
        assert!(after.peak >= before.resident + (60 << 20), "{before:?} {after:?}");
        reset_peak(own).unwrap();
        assert!(Memory::of(own).unwrap().peak < after.peak);
        assert!(descriptors(own).unwrap() >= 3);
        let share = Share::of(own).unwrap();
        assert!(share.private > 0 && share.private <= share.resident, "{share:?}");
        assert!(share.proportional <= share.resident, "{share:?}");
    }
}
