//! Certificates: as they come, and signed anew, so that what they say is judged and not only refused.
#![no_main]

use hop_keys::{Certificate, CertificatePolicy, SignatureAlgorithm};

const SIGNATURE: usize = 4 + 4 + 11 + 4 + 64;

fn judge(certificate: &Certificate) {
    let cas = [hop_fuzz::ca().public().clone(), certificate.ca().clone()];
    let policy = CertificatePolicy {
        cas: &cas,
        ca_signatures: &SignatureAlgorithm::ALL,
        revocations: None,
        understood: &["word@grasshopper"],
    };
    let principal = certificate.principals().first().map_or("hopper", String::as_str);
    for now in [hop_fuzz::NOW, certificate.valid_after(), certificate.valid_before().saturating_sub(1)] {
        let judged = certificate.judge_user(&policy, &[principal], Some([10, 1, 2, 3].into()), now);
        if judged.is_ok() {
            assert!((certificate.valid_after()..certificate.valid_before()).contains(&now), "out of time");
        }
        let _ = certificate.judge_host(&policy, principal, now);
    }
}

hop_fuzz::target!(32, |bytes| {
    let Ok(certificate) = Certificate::from_blob(bytes) else {
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = Certificate::parse_line(text);
        }
        return;
    };
    assert_eq!(certificate.blob(), bytes);
    judge(&certificate);
    // The last field is the signature: Ed25519 ones are all of one length.
    if certificate.ca() == hop_fuzz::ca().public()
        && let Some((signed, _)) = bytes.split_at_checked(bytes.len().saturating_sub(SIGNATURE))
    {
        let signature = hop_fuzz::ca().sign(SignatureAlgorithm::Ed25519, signed).expect("the key signs");
        let length = u32::try_from(signature.len()).expect("short").to_be_bytes();
        let again = [signed, &length, &signature].concat();
        if let Ok(again) = Certificate::from_blob(&again) {
            assert!(again.verify_signature().is_ok());
            judge(&again);
        }
    }
});
