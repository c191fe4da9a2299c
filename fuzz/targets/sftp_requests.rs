//! What an SFTP client sends, as packets: what is read is written the same.
#![no_main]

use hop_sftp::codec::{ClientPacket, LENGTH_PREFIX, frame_length};

hop_fuzz::target!(32, |bytes| {
    let _ = frame_length(bytes);
    let mut packet = bytes.to_vec();
    // One NUL at the end of a path is dropped each time, so it may take a few rounds to settle.
    while let Ok(read) = ClientPacket::decode(&packet) {
        let mut written = Vec::new();
        read.encode(&mut written);
        assert_eq!(frame_length(&written), Ok(Some(written.len() - LENGTH_PREFIX)));
        let written = written.split_off(LENGTH_PREFIX);
        let again = ClientPacket::decode(&written).expect("what was written can be read");
        if again == read {
            break;
        }
        assert!(written.len() < packet.len() && written.contains(&0), "{read:?} became {again:?}");
        packet = written;
    }
});
