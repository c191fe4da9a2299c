//! The lines between gateway and endpoint about a client whose SSH ends in the endpoint, both ways.
#![no_main]

use hop_keys::{Certificate, PublicKey};
use hop_model::inner::{Answer, Inquiry, Presented, decode_line, encode_line};

hop_fuzz::target!(16, |bytes| {
    if let Ok(inquiry) = decode_line::<Inquiry>(bytes) {
        let written = encode_line(&inquiry);
        // Numbers may grow when they are written: 1e2 is as good as 100.
        if let Ok(written) = written {
            assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
            assert_eq!(decode_line::<Inquiry>(&written).expect("what was written can be read"), inquiry);
        }
        let (Inquiry::Probe(Presented { blob, .. })
        | Inquiry::Login { presented: Presented { blob, .. }, .. }) = inquiry;
        // The gateway reads them next, whatever the endpoint calls them.
        let _ = (PublicKey::from_blob(&blob), Certificate::from_blob(&blob));
    }
    if let Ok(answer) = decode_line::<Answer>(bytes)
        && let Ok(written) = encode_line(&answer)
    {
        assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        assert_eq!(decode_line::<Answer>(&written).expect("what was written can be read"), answer);
    }
});
