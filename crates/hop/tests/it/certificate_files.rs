//! The pages' certificate is replaced while the site runs.

use crate::support::Home;
use hop_e2e::program::program;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A certificate of its own authority for 127.0.0.1, with its key, in the home.
pub(crate) fn make(home: &Home, name: &str) -> String {
    let (certificate, key) =
        (home.path().join(format!("{name}.pem")), home.path().join(format!("{name}.key")));
    let made = Command::new(program("openssl"))
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", &format!("/CN={name}.example")])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    // As those who renew certificates leave it; the site is another user when root starts it.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::read_to_string(certificate).unwrap()
}

/// The certificate that the pages show.
fn shown(address: &str) -> String {
    let output = Command::new(program("openssl"))
        .args(["s_client", "-connect", address])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let end = "-----END CERTIFICATE-----\n";
    let from = said.find("-----BEGIN CERTIFICATE-----").unwrap_or_else(|| panic!("no certificate: {said}"));
    said[from..said.find(end).unwrap() + end.len()].to_owned()
}

#[test]
fn a_renewed_certificate_is_served_without_a_restart() {
    let home = Home::new();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let (first, second) = (make(&home, "first"), make(&home, "second"));
    let install = |part: &str, name: &str| {
        let new = home.path().join("new");
        std::fs::copy(home.path().join(format!("{name}.{part}")), &new).unwrap();
        std::fs::rename(new, home.path().join(format!("tls.{part}"))).unwrap();
    };
    install("pem", "first");
    install("key", "first");
    home.write(
        "site.toml",
        "data = 'data'\nssh = '127.0.0.1:0'\nhttp = '127.0.0.1:0'\n[tls]\ncertificate = 'tls.pem'\nkey = 'tls.key'\n",
    );
    let server = home.serve(&["serve", "--config", "site.toml", "--json"]);
    let address = server.announced["url"].as_str().unwrap().strip_prefix("https://").unwrap();
    assert_eq!(shown(address), first);
    // One of two: the certificate does not fit the key, so the old one is served on.
    install("pem", "second");
    let log = || std::fs::read_to_string(home.path().join("stderr")).unwrap();
    let start = Instant::now();
    while !log().contains("the pages keep their certificate") {
        assert!(start.elapsed() < Duration::from_secs(30), "{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(shown(address), first);
    install("key", "second");
    while shown(address) != second {
        assert!(start.elapsed() < Duration::from_secs(60), "the old certificate is served on: {}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}
