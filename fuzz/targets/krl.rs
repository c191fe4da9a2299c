//! Revocation lists: what is read again finds the same.
#![no_main]

use hop_keys::RevocationList;

hop_fuzz::target!(64, |bytes| {
    let Ok(list) = RevocationList::parse(bytes) else { return };
    let again = list.to_bytes(list.version(), list.generated(), list.comment());
    let again = RevocationList::parse(&again).expect("what was written can be read");
    for identity in hop_fuzz::identities() {
        assert_eq!(list.find(identity), again.find(identity));
    }
});
