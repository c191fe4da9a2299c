//! With jupyter-sshd-proxy in the same environment: which of the two serves, and that either can.

use hop_e2e::hub::{Hub, Options};
use hop_e2e::{Identity, Run};

use super::ACCESS;

/// A Hub whose servers have both, with `more` settings.
fn both(more: &str) -> Hub {
    let server_config =
        format!("c.ServerApp.jpserver_extensions = {{\"jupyter_server_proxy\": True}}\n{more}");
    let hub = Hub::start(&Options { server_config, jupyter_sshd_proxy: true, ..Options::default() });
    hub.start_server("");
    hub
}

/// The line that says who serves, as ssh's own log shows it.
fn software(hub: &Hub, command: &str) -> String {
    let said = hub.openssh("ssh", command).args(["-v", "hub", "true"]).success().stderr();
    let line = said.lines().find(|line| line.contains("remote software version")).unwrap();
    line.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn ours_serves_with_the_host_key_that_the_other_left() {
    let hub = both("");
    // As somebody has it who used the other package before.
    let left = Identity::ed25519(hub.scratch(), "left");
    std::fs::copy(&left.private, hub.home().join(".ssh/jupyter_sshd_hostkey")).unwrap();
    let known = format!("hub {}\n", left.public_without_comment());
    let _ = hub.scratch().write("known_hosts", known);
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    let strict: Run = hub.openssh("ssh", &command).args(["-o", "StrictHostKeyChecking=yes"]);
    let _ = strict.args(["hub", "true"]).success();
    assert!(software(&hub, &command).contains("rasshopper"), "{}", software(&hub, &command));
    let log = hub.log();
    assert!(log.contains("jupyter-sshd-proxy is installed, too; grasshopper-ssh serves /sshd/"), "{log}");
}

#[test]
fn the_other_serves_when_ours_is_switched_off() {
    let hub = both("c.GrasshopperSSH.enabled = False\n");
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    // Its sshd takes no keys of a home below a folder that all can write; it greets before that.
    let ssh = hub.openssh("ssh", &command).args(["-v", "hub", "true"]);
    let said = ssh.finish().stderr();
    assert!(said.contains("remote software version OpenSSH"), "{said}\n{}", hub.log());
    assert!(hub.log().contains("grasshopper_ssh: switched off by its settings"), "{}", hub.log());
}
