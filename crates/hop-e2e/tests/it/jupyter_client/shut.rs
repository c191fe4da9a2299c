//! A Hub in whose image nothing can be installed.

use std::path::Path;
use std::time::Duration;

use hop_e2e::Laptop;
use hop_e2e::hub::{Hub, Options, USER};

use super::{SMALL, add, text};

/// What is below a folder of alice's home, by names.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn where_nothing_can_be_installed_hop_is_put_into_the_home() {
    let server_config = "c.ServerApp.jpserver_extensions = {'jupyter_server_terminals': True}\n".to_owned();
    let hub = Hub::start(&Options { has_wheel: false, server_config, ..Options::default() });
    std::fs::remove_dir_all(hub.home().join(".ssh")).unwrap();
    let laptop = Laptop::new();
    let token = hub.token(&SMALL);
    let refused = add(&laptop, &hub, &token, &["--name", "shut"]).status(69).stderr();
    assert!(
        refused.contains("there is nothing at ws://") && refused.contains("--through-terminal"),
        "{refused}"
    );
    // Not by somebody else's hand, whatever their token may.
    let more = ["--name", "shut", "--through-terminal"];
    let service = hub.token_file(hub.admin_token());
    let theirs = add(&laptop, &hub, &service, &more).args(["--user", USER]).status(77).stderr();
    assert!(theirs.contains("only alice, whose server it is"), "{theirs}");
    let added = add(&laptop, &hub, &token, &more).success();
    assert_eq!(added.stdout(), "ssh shut\n", "{added}");
    assert!(added.stderr().contains("putting hop into the server: 0 of"), "{added}");
    let folder = hub.home().join(".local/share/hop");
    let program = std::fs::read(folder.join("bin/hop")).unwrap();
    assert!(program == std::fs::read(hop_e2e::server::hop_binary()).unwrap(), "another program arrived");
    let mode = std::fs::metadata(folder.join("bin/hop")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o700);
    assert!(!names(&hub.home()).iter().any(|name| name.starts_with("hop-setup")), "{:?}", names(&hub.home()));
    assert!(text(&folder.join("jupyter-keys")).contains("expiry-time=\""));
    // Plain ssh from then on, also where the server is stopped.
    hub.stop_server();
    let inside = laptop.ssh("shut", "echo $JUPYTERHUB_USER").limit(Duration::from_secs(120)).success();
    assert_eq!(inside.stdout(), "alice\n");
    // A second machine finds the program, and brings its key only.
    let other = Laptop::new();
    let added = add(&other, &hub, &token, &more).success();
    assert!(!added.stderr().contains("putting hop into the server"), "{added}");
    let keys = || std::fs::read_to_string(folder.join("jupyter-keys")).unwrap_or_default();
    assert_eq!(keys().matches("ssh-ed25519 ").count(), 2, "{}", keys());
    // Again with the same key, there is one line of it.
    let _ = add(&other, &hub, &token, &more).success();
    assert_eq!(keys().matches("ssh-ed25519 ").count(), 2, "{}", keys());
    // Also where the key's file has gone meanwhile, or was a page.
    std::fs::remove_file(laptop.home(".ssh/id_ed25519.pub")).unwrap();
    let _ = laptop.hop(&["jupyter", "remove", "shut", "--yes"]).limit(Duration::from_secs(90)).success();
    assert_eq!(keys().matches("ssh-ed25519 ").count(), 1, "{}", keys());
    assert!(folder.join("bin/hop").exists());
    let _ = other.hop(&["jupyter", "remove", "shut", "--yes"]).limit(Duration::from_secs(90)).success();
    assert!(!folder.join("bin/hop").exists() && keys().is_empty(), "{:?}", names(&folder));
}
