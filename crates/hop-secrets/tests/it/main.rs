//! Secrets in a real desktop keyring: GNOME's, on a bus of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use hop_e2e::program::program;
use hop_secrets::{Kind, Label, Secret, SecretService, ServiceError, Vault};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A session's bus with an unlocked keyring; both end with it.
struct Desktop {
    home: TempDir,
    address: String,
    bus: Child,
    keyring: Option<Child>,
}

impl Desktop {
    fn without_keyring() -> Self {
        let home = TempDir::new().unwrap();
        // Without folders of services: nothing of this machine may be started in the keyring's place.
        let settings = home.path().join("bus.conf");
        let text = format!(
            r#"<busconfig><type>session</type><listen>unix:path={}</listen>
            <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
            <allow own="*"/></policy></busconfig>"#,
            home.path().join("bus").display()
        );
        std::fs::write(&settings, text).unwrap();
        let mut bus = Command::new(program("dbus-daemon"))
            .args(["--nofork", "--print-address", "--config-file"])
            .arg(settings)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { home, address: address.trim().to_owned(), bus, keyring: None }
    }

    fn start() -> Self {
        let mut desktop = Self::without_keyring();
        let mut keyring = Command::new(program("gnome-keyring-daemon"))
            .args(["--foreground", "--components=secrets", "--unlock"])
            .env_clear()
            .env("HOME", desktop.home.path())
            .env("XDG_DATA_HOME", desktop.home.path())
            .env("XDG_RUNTIME_DIR", desktop.home.path())
            .env("DBUS_SESSION_BUS_ADDRESS", &desktop.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        keyring.stdin.take().unwrap().write_all(b"login\n").unwrap();
        // It prints where it listens once it does.
        let mut line = String::new();
        BufReader::new(keyring.stdout.take().unwrap()).read_line(&mut line).unwrap();
        desktop.keyring = Some(keyring);
        desktop
    }

    /// Connects as soon as the keyring is on the bus.
    async fn connect(&self) -> SecretService {
        loop {
            match SecretService::connect(&self.address).await {
                Ok(service) => return service,
                Err(ServiceError::Silent) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for process in self.keyring.iter_mut().chain([&mut self.bus]) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[tokio::test]
async fn secrets_in_gnome_keyring_are_found_by_another_process() {
    let desktop = Desktop::start();
    let vault = Vault::Service(desktop.connect().await);
    let (saga, code) = (Label::new("saga", Kind::Password), Label::new("saga", Kind::Totp));
    assert!(vault.find(&saga).await.unwrap().is_none());
    vault.set(&saga, &Secret::new("hunter2".to_owned())).await.unwrap();
    vault.set(&code, &Secret::new("GEZDGNBVGY3TQOJQ".to_owned())).await.unwrap();
    vault.set(&saga, &Secret::new("hünter3".to_owned())).await.unwrap();

    let other = Vault::Service(desktop.connect().await);
    assert_eq!(other.find(&saga).await.unwrap().unwrap().expose(), "hünter3");
    assert_eq!(other.list().await.unwrap(), [saga.clone(), code.clone()]);
    assert!(other.remove(&saga).await.unwrap() && !other.remove(&saga).await.unwrap());
    assert_eq!(vault.list().await.unwrap(), [code]);
}

#[tokio::test]
async fn a_bus_without_a_keyring_is_said() {
    let desktop = Desktop::without_keyring();
    let error = SecretService::connect(&desktop.address).await.unwrap_err();
    assert!(matches!(error, ServiceError::Silent), "{error}");
    let gone = format!("unix:path={}", desktop.home.path().join("nothing").display());
    assert!(matches!(SecretService::connect(&gone).await, Err(ServiceError::Silent)));
}
