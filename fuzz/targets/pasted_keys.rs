//! What a person pasted as public keys.
#![no_main]

use hop_fuzz::pasted::parse_keys;

hop_fuzz::target!(16, |bytes| {
    let text = String::from_utf8_lossy(bytes);
    match parse_keys(&text) {
        Err(refused) => {
            // Nothing of a private key is repeated.
            let told = refused.to_string();
            assert!(text.lines().filter(|line| line.len() > 20).all(|line| !told.contains(line)));
        }
        Ok(pasted) => {
            assert!(pasted.keys.len() <= 50);
            let mut prints: Vec<_> =
                pasted.keys.iter().map(|key| key.key.fingerprint().to_string()).collect();
            prints.sort();
            let count = prints.len();
            prints.dedup();
            assert_eq!(prints.len(), count, "each key once");
            for found in &pasted.keys {
                // What was read reads as itself, alone.
                let again = parse_keys(&found.key.to_line("")).expect("a public key");
                assert_eq!(again.keys.len(), 1);
                assert_eq!(again.keys[0].key, found.key);
            }
        }
    }
});
