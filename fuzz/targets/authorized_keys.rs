//! An authorized_keys file, and logins by keys and certificates that may be in it.
#![no_main]

use hop_keys::{AuthorizedKeys, Identity, LoginFacts, SignatureAlgorithm};
use std::net::IpAddr;

hop_fuzz::target!(32, |bytes| {
    let (keys, _problems) = AuthorizedKeys::parse(bytes);
    let listed: Vec<Identity> = keys.keys().take(4).map(|(_, key)| Identity::Key(key.clone())).collect();
    for (address, host) in [(None, None), (Some([10, 1, 2, 3]), Some("host.example.org"))] {
        let facts = LoginFacts {
            user: "hopper",
            address: address.map(IpAddr::from),
            host,
            now: hop_fuzz::NOW,
            utc_offset: 3600,
            ca_signatures: &SignatureAlgorithm::ALL,
            revocations: None,
        };
        for identity in listed.iter().chain(hop_fuzz::identities()) {
            let _ = keys.find(identity, &facts);
        }
    }
});
