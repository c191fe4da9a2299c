//! Messages of an OpenSSH master on its control socket: any bytes in any pieces, never a panic, and what is read is
//! written the same.
#![no_main]

use hop_connect::mux::Decoder;

hop_fuzz::target!(16, |bytes| {
    let mut decoder = Decoder::default();
    for piece in bytes.chunks(5) {
        decoder.push(piece);
        while let Ok(Some(message)) = decoder.next() {
            let mut again = Decoder::default();
            again.push(&message.encode());
            // A reason that was no UTF-8 is written as what was read of it.
            assert_eq!(again.next(), Ok(Some(message)));
        }
    }
});
