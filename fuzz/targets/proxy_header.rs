//! The header by which a load balancer tells whose a connection is, as its careful reader meets it.
#![no_main]

use hop_model::{ProxyHeader, ProxyProgress};

hop_fuzz::target!(1, |bytes| {
    let _ = ProxyHeader::read(bytes);
    let mut count = 0;
    while let Some(come) = bytes.get(..count) {
        match ProxyHeader::read(come) {
            Ok(ProxyProgress::Wants(more)) => {
                assert!(more > 0 && count + more <= 4096, "it wants nothing, or too much");
                count += more;
            }
            Ok(ProxyProgress::Whole(_)) | Err(_) => break,
        }
    }
});
