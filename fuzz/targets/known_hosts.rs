//! A known_hosts file, and servers that may be in it.
#![no_main]

use hop_keys::{HostKeyPolicy, KnownHosts, SignatureAlgorithm};
use std::path::Path;

hop_fuzz::target!(32, |bytes| {
    let mut known = KnownHosts::new();
    let _problems = known.add(Path::new("known_hosts"), bytes);
    let policy =
        HostKeyPolicy { ca_signatures: &SignatureAlgorithm::ALL, revocations: None, now: hop_fuzz::NOW };
    for (host, port) in [("host.example.org", 22), ("127.0.0.1", 2222), ("::1", 22)] {
        for identity in hop_fuzz::identities() {
            let _ = known.check(host, port, identity, &policy);
        }
        let _ = known.order(host, port, &[]);
    }
});
