//! The lab is what it says: the cluster is reached through the bastion alone, and the bastion asks for a code.

use std::os::unix::fs::PermissionsExt;

use hop_e2e::Lab;
use hop_e2e::lab::{Codes, Door, PASSWORD};

const CONFIG: &str = "Host bastion\n  HostName 10.77.1.1\nHost cluster\n  HostName 10.77.2.2\n  ProxyJump bastion\n\
    Host bastion cluster\n  ControlMaster auto\n  ControlPath ~/.ssh/cm-%C\n  ControlPersist 60\n";

/// Answers the questions of ssh: with the code, or the password.
fn answer_with(lab: &Lab, password: bool) {
    let code = lab.code();
    let script = match password {
        true => format!("case \"$1\" in *assword*) echo {PASSWORD};; *) echo {code};; esac"),
        false => format!("echo asked >> /home/alice/asked; echo {code}"),
    };
    lab.client.write("answer", &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(lab.client.home().join("answer"), std::fs::Permissions::from_mode(0o755))
        .unwrap();
}

fn run(lab: &Lab, words: &[&str]) -> (Option<i32>, String, String) {
    let mut all = vec!["env", "SSH_ASKPASS=/home/alice/answer", "SSH_ASKPASS_REQUIRE=force"];
    all.extend(words);
    let output = lab.person(&all).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_cluster_is_reached_through_the_bastion_with_one_code() {
    let lab = Lab::start(Codes::Strict);
    lab.client.write(".ssh/config", CONFIG);
    let direct = run(&lab, &["ssh", "-F", "none", "-o", "ConnectTimeout=5", "10.77.2.2", "true"]);
    assert!(direct.2.contains("unreachable"), "{direct:?}");

    answer_with(&lab, false);
    for _ in 0..2 {
        let (status, stdout, stderr) = run(&lab, &["ssh", "cluster", "hostname; whoami"]);
        assert_eq!((status, stdout.as_str()), (Some(0), "cluster\nalice\n"), "{stderr}");
    }
    assert_eq!(std::fs::read_to_string(lab.client.home().join("asked")).unwrap(), "asked\n");
    assert_eq!(
        (lab.logins(Door::KeyAndCode), lab.logins(Door::Key)),
        (1, 1),
        "{}",
        lab.log(Door::KeyAndCode)
    );

    // The code was used.
    let again =
        run(&lab, &["ssh", "-o", "ControlPath=none", "-o", "NumberOfPasswordPrompts=1", "bastion", "true"]);
    assert_eq!(again.0, Some(255), "{again:?}");
}

#[test]
fn a_password_and_a_code_open_the_other_door_and_a_cut_line_is_silent() {
    let lab = Lab::start(Codes::Lenient);
    answer_with(&lab, true);
    let words =
        ["ssh", "-o", "ServerAliveInterval=1", "-o", "ConnectTimeout=3", "-p", "2222", "bastion", "hostname"];
    let (status, stdout, stderr) = run(&lab, &words);
    assert_eq!((status, stdout.as_str()), (Some(0), "bastion\n"), "{stderr}");
    lab.set_line(false);
    let (status, _, stderr) = run(&lab, &words);
    assert!(status == Some(255) && stderr.contains("timed out"), "{stderr}");
    lab.set_line(true);
    assert_eq!(run(&lab, &words).0, Some(0));
}
