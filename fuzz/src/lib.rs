//! What all fuzz targets share: bounded memory, and keys that are the same in every run.
//!
//! Must stay true: a run that takes more memory than its target is allowed fails like one that panics.

use hop_keys::{Certificate, Identity, PrivateKey};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What people paste as keys. The file itself and not its crate: that would bring a web server and two databases here.
#[path = "../../crates/hop-portal/src/operations/pasted.rs"]
pub mod pasted;

/// Defines a target: the most memory that one input may cost, in MiB, and what is done with the input.
#[macro_export]
macro_rules! target {
    ($mebibytes:expr, |$bytes:ident| $run:expr) => {
        libfuzzer_sys::fuzz_target!(|$bytes: &[u8]| {
            $crate::allow($mebibytes);
            $run;
            $crate::allow_all();
        });
    };
}

/// The present moment of all targets, in seconds since 1970: in the validity of the seeds' certificates.
pub const NOW: u64 = 1_800_000_000;

#[global_allocator]
static COUNTED: Counted = Counted;

struct Counted;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static CEILING: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Sets the ceiling for the run that begins.
pub fn allow(mebibytes: usize) {
    CEILING.store(LIVE.load(Relaxed) + mebibytes * 1024 * 1024, Relaxed);
}

/// Lifts the ceiling between runs.
pub fn allow_all() {
    CEILING.store(usize::MAX, Relaxed);
}

impl Counted {
    fn take(size: usize) {
        let live = LIVE.fetch_add(size, Relaxed) + size;
        if live > CEILING.load(Relaxed) {
            // Saying so takes memory, too.
            allow_all();
            panic!("one input takes more memory than it may: {size} bytes more, {live} in all");
        }
    }
}

// SAFETY: hands everything on to the system's allocator; panics abort in this workspace, so none unwinds.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::take(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::take(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The certificate authority that the seeds' certificates are of.
pub fn ca() -> &'static PrivateKey {
    static CA: OnceLock<PrivateKey> = OnceLock::new();
    CA.get_or_init(|| PrivateKey::from_openssh(include_str!("../keys/ca"), None).expect("a key"))
}

/// Keys and certificates that the seeds speak of.
pub fn identities() -> &'static [Identity] {
    static ALL: OnceLock<Vec<Identity>> = OnceLock::new();
    ALL.get_or_init(|| {
        let key = |text| Identity::Key(hop_keys::PublicKey::parse_line(text).expect("a key").0);
        let certificate =
            |text| Identity::Certificate(Box::new(Certificate::parse_line(text).expect("one").0));
        vec![
            key(include_str!("../keys/user.pub")),
            key(include_str!("../keys/host.pub")),
            certificate(include_str!("../keys/user-cert.pub")),
            certificate(include_str!("../keys/host-cert.pub")),
        ]
    })
}
