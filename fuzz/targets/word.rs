//! The gateway's word.
#![no_main]

use hop_model::Word;

hop_fuzz::target!(16, |bytes| {
    if let Ok(word) = Word::decode(bytes) {
        let written = word.encode().expect("what was read is not too long");
        assert_eq!(Word::decode(&written).expect("what was written can be read"), word);
    }
});
