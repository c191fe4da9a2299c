//! Trap 24: certificates are believed for what they say and no more, and what they say is not printed as it is.

use hop_e2e::program::program;
use hop_e2e::{Identity, Run, Scratch};
use hop_keys::{CertificateBuilder, CertificateKind, PrivateKey, SignatureAlgorithm, load_private_key};
use hop_ssh::message;
use hop_ssh::wire::Put;
use hop_testkit::RawPeer;
use hop_testkit::raw::userauth::{self, Proof};

use crate::relay::site::{Choice, Place, Site};

#[test]
fn trap_24_endpoint_believes_certificates_for_what_they_say() {
    believes_certificates_for_what_they_say(Place::Endpoint);
}

#[test]
fn trap_24_relay_believes_certificates_for_what_they_say() {
    believes_certificates_for_what_they_say(Place::Relay);
}

/// A place that trusts one CA, and the holder of certificates.
struct Trust {
    site: Site,
    ca: PrivateKey,
    holder: PrivateKey,
}

impl Trust {
    fn at(place: Place, files: &Scratch) -> Self {
        let [ca, holder] = ["ca", "holder"].map(|name| Identity::ed25519(files, name));
        let cas = files.write("cas", format!("{}\n", ca.public));
        let arguments = ["--trusted-user-ca", cas.to_str().unwrap()];
        let choice = match place {
            Place::Endpoint => Choice::arguments(&arguments),
            Place::Relay => Choice::default(),
        };
        let trusted = cas.clone();
        let choice = choice.relay(move |config| config.trusted_user_cas = vec![trusted.clone()]);
        let site = Site::with(place, &choice);
        let [ca, holder] = [ca, holder].map(|key| load_private_key(&key.private, None).unwrap());
        Self { site, ca, holder }
    }

    /// A certificate that says anything: made properly, then its text changed and signed anew. The changed text
    /// has the length of the old.
    fn certificate(&self, principal: &str, change: Option<(&str, &str)>) -> Vec<u8> {
        let kind = CertificateKind::User;
        let made = CertificateBuilder::new(
            kind,
            self.holder.public().clone(),
            "a key id",
            &[principal],
            0,
            u64::MAX,
        );
        let unsigned = made.unwrap().unsigned(self.ca.public()).unwrap();
        let mut blob = unsigned.to_be_signed().to_vec();
        if let Some((old, new)) = change {
            assert_eq!(old.len(), new.len());
            let found: Vec<_> =
                (0..blob.len()).filter(|at| blob[*at..].starts_with(old.as_bytes())).collect();
            assert_eq!(found.len(), 1, "{old:?} stands in it once");
            blob[found[0]..found[0] + new.len()].copy_from_slice(new.as_bytes());
        }
        let signature = self.ca.sign(SignatureAlgorithm::Ed25519, &blob).unwrap();
        blob.put_string(signature);
        blob
    }

    /// Whether this gets in, by a signature with `key`.
    fn admits(&self, algorithm: &str, blob: &[u8], key: &PrivateKey) -> bool {
        let mut raw = RawPeer::connect(self.site.address, "Raw_1");
        raw.send(&userauth::service_request());
        raw.expect(message::SERVICE_ACCEPT);
        let session = raw.binding().session_id().to_vec();
        let proof = Proof { algorithm, blob, key, session: &session, host_key: None };
        raw.send(&userauth::signed(&self.site.user, &proof));
        match raw.message().first() {
            Some(&message::USERAUTH_SUCCESS) => true,
            Some(&message::USERAUTH_FAILURE) => false,
            other => panic!("neither yes nor no: {other:?}"),
        }
    }

    fn admits_certificate(&self, blob: &[u8]) -> bool {
        self.admits("ssh-ed25519-cert-v01@openssh.com", blob, &self.holder)
    }
}

fn believes_certificates_for_what_they_say(place: Place) {
    let files = Scratch::new();
    let mut trust = Trust::at(place, &files);
    let user = trust.site.user.clone();
    assert!(trust.admits_certificate(&trust.certificate(&user, None)), "a certificate that is fine");

    // The CA signs certificates; its key opens nothing, whether called a key or a certificate.
    let ca = trust.ca.public().blob().to_vec();
    assert!(!trust.admits("ssh-ed25519", &ca, &trust.ca), "the CA's key as a user's");
    let own = trust.holder.public().blob().to_vec();
    assert!(!trust.admits("ssh-ed25519", &own, &trust.holder), "the key without its certificate");
    let good = trust.certificate(&user, None);
    assert!(!trust.admits("ssh-ed25519-cert-v01@openssh.com", &good, &trust.ca), "another key's signature");

    // No principals is nobody, not everybody. ssh-keygen makes such certificates, our builder refuses to.
    let ca_file = files.write("ca_again", &*trust.ca.to_openssh("ca"));
    let _ = Run::new("chmod").arg("600").arg(&ca_file).success();
    let public = files.write("bare.pub", trust.holder.public().to_line("bare"));
    let keygen = Run::new(program("ssh-keygen")).args(["-q", "-I", "bare", "-s"]).arg(&ca_file);
    let _ = keygen.arg(public).success();
    let bare = hop_keys::load_certificate(&files.join("bare-cert.pub")).unwrap();
    assert!(bare.principals().is_empty());
    assert!(!trust.admits_certificate(bare.blob()), "no principals");

    // A comma is part of a name, which then is nobody's; so is a blank or a wildcard.
    for (old, new) in [("x:", "x,"), ("x:", "x "), ("x:", "*,")] {
        let blob = trust.certificate(&format!("{old}{user}"), Some((old, new)));
        assert!(!trust.admits_certificate(&blob), "principal {new}{user}");
    }

    // Its text is for a log, where it cannot give orders to a terminal.
    let blob = trust.certificate(&user, Some(("a key id", "a\u{1b}[31m\nb")));
    assert!(trust.admits_certificate(&blob), "a key id of odd letters");
    if place == Place::Endpoint {
        let said = "the key id of the last certificate in the log";
        let log = trust.site.server().process().wait_for(said, |text| {
            let logged = text.lines().any(|line| line.contains("31m") && line.contains("serial"));
            logged.then(|| text.to_owned())
        });
        assert!(!log.contains('\u{1b}'), "the certificate's text is in the log as it is: {log}");
    }
}
