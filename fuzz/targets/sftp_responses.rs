//! What an SFTP server sends, as packets: what is read is written the same.
#![no_main]

use hop_sftp::codec::{FileSystemStatistics, IdNames, LENGTH_PREFIX, Limits, ServerPacket};

hop_fuzz::target!(64, |bytes| {
    if let Ok(packet) = ServerPacket::decode(bytes) {
        let mut written = Vec::new();
        packet.encode(&mut written);
        assert_eq!(ServerPacket::decode(written.get(LENGTH_PREFIX..).unwrap_or_default()), Ok(packet));
    }
    let payload = bytes.get(5..).unwrap_or_default();
    let _ = Limits::decode(payload);
    let _ = FileSystemStatistics::decode(payload);
    let _ = IdNames::decode(payload);
});
