//! What the page gives people to copy, read by OpenSSH itself.

use hop_e2e::program::program;
use tokio::process::Command;

use crate::served::Served;

/// The text of the element with this id, as a person copies it.
fn copied<'a>(page: &'a str, id: &str) -> &'a str {
    let from = page.split_once(&format!("<code id=\"{id}\">")).unwrap().1;
    from.split_once("</code>").unwrap().0
}

#[tokio::test]
async fn openssh_reads_the_block_and_the_host_key_line() {
    let served = Served::new().await;
    let (ada, _, mut visit) = served.person("ada").await;
    let project = served.site.project(ada, "climate").await;
    let page = visit.get(&format!("/projects/{project}")).await;
    let folder = tempfile::tempdir().unwrap();
    let (config, known_hosts) = (folder.path().join("config"), folder.path().join("known_hosts"));
    std::fs::write(&config, copied(&page.body, "config")).unwrap();
    std::fs::write(&known_hosts, copied(&page.body, "known-hosts").to_owned() + "\n").unwrap();
    let read =
        Command::new(program("ssh")).arg("-F").arg(&config).args(["-G", "climate"]).output().await.unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let read = String::from_utf8(read.stdout).unwrap();
    for line in [
        "hostname gateway.example.org",
        "port 2222",
        &format!("user {project}"),
        "identitiesonly yes",
        "addkeystoagent true",
        "identityfile ~/.ssh/id_ed25519",
    ] {
        assert!(read.lines().any(|found| found == line), "no {line:?} in:\n{read}");
    }
    let mut find = Command::new(program("ssh-keygen"));
    let found =
        find.args(["-F", "[gateway.example.org]:2222", "-f"]).arg(&known_hosts).output().await.unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
}
