//! A server as platforms with random users run it: no passwd entry, a home that is nowhere in /etc/passwd, and a root that
//! cannot be written.

use hop_e2e::hub::{Hub, Options, USER};
use hop_e2e::payload;
use hop_e2e::program::{peers_folder, program};

use super::ACCESS;

#[test]
fn a_user_without_passwd_entry_and_with_a_read_only_root_logs_in() {
    // The folder of the files of all, which is known when the Hub reads this; below it only the home can be written.
    let hub_config = format!(
        r#"
import os
here = os.getcwd()
home = here + "/home/{USER}"
c.Spawner.cmd = ["{bwrap}", "--unshare-user", "--uid", "54321", "--gid", "54321", "--ro-bind", "/", "/", "--dev", "/dev",
    "--proc", "/proc", "--tmpfs", "/tmp", "--ro-bind", "{peers}", "{peers}", "--ro-bind", here, here, "--bind", home, home, "--die-with-parent"] + c.Spawner.cmd
"#,
        bwrap = program("bwrap").display(),
        // It may lie below /tmp.
        peers = peers_folder().display(),
    );
    let hub = Hub::start(&Options { hub_config, ..Options::default() });
    hub.start_server("");
    let command = hub.hop_proxy(&hub.token(&[ACCESS]), &hub.url(""));
    let ssh = || hub.openssh("ssh", &command);
    let asked = "id -u; getent passwd $(id -u); pwd; echo $HOME; touch /usr/x /etc/x 2>/dev/null && echo writable; true";
    let said = ssh().args(["hub", asked]).success().stdout();
    let home = hub.home();
    let home = home.to_str().unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), ["54321", home, home]);
    // A terminal, too, and files both ways.
    let terminal = ssh().args(["-tt", "hub", "tty; stty size"]).success().stdout();
    assert!(terminal.starts_with("/dev/pts/"), "{terminal}");
    let from = hub.scratch().join("large");
    payload::write(&from, 5_000_003, 29);
    let kept = hub.home().join("kept");
    let back = hub.scratch().join("back");
    let scp = || hub.openssh("scp", &command).arg("-q");
    let _ = scp().arg(&from).arg("hub:kept").success();
    payload::assert_same(&from, &kept);
    // (Not with -O: OpenSSH's own scp, which that runs there, wants a passwd entry.)
    let _ = scp().arg("hub:kept").arg(&back).success();
    payload::assert_same(&from, &back);
}
