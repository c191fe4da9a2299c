//! Programs that wait for a login that somebody else is at.

use super::machine::Machine;
use std::time::{Duration, Instant};

#[test]
fn vs_code_waits_12_seconds_others_longer_and_whoever_goes_leaves_the_login_alone() {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "totp", "--yes"]).success();
    let begun = Instant::now();
    let said = machine.expect(
        "spawn hop login totp\nwants {Verification code:}\n\
         exec sh -c {ssh -o BatchMode=yes totp echo over > ~/patient 2> ~/told; echo $? >> ~/patient} &\n\
         catch {exec timeout 1 ssh -o BatchMode=yes totp true} killed\n\
         catch {exec env VSCODE_PID=1 ssh -o BatchMode=yes totp true 2>@1} said\nputs $said\n\
         send \"[code]\\r\"\nwants {totp is up}\nends 0\n",
    );
    assert!(begun.elapsed() >= Duration::from_secs(13), "{said}");
    assert!(said.contains("hop: logging in to totp"), "{said}");
    assert!(said.contains("the login to totp is in progress and asks for: one-time code"), "{said}");
    let _ = machine
        .shell("until grep -qx '[0-9]*' ~/patient; do :; done")
        .limit(Duration::from_secs(20))
        .success();
    assert_eq!(std::fs::read_to_string(machine.home("patient")).unwrap(), "over\n0\n");
    assert_eq!(std::fs::read_to_string(machine.home("told")).unwrap(), "hop: logging in to totp…\n");
    assert_eq!(machine.accepted(2202), 1);
}

#[test]
fn a_host_has_its_own_patience() {
    let machine = Machine::new();
    let _ = machine.hop(&["ssh-config", "enable", "totp", "--yes"]).success();
    machine.decide("[host.totp]\nwait = 2\n");
    // The usual minute would be longer than this has.
    let said = machine.expect(
        "spawn hop login totp\nwants {Verification code:}\n\
         catch {exec timeout 30 ssh -o BatchMode=yes totp true 2>@1} said\nputs $said\n\
         send \"[code]\\r\"\nwants {totp is up}\nends 0\n",
    );
    assert!(said.contains("the login to totp is in progress and asks for: one-time code"), "{said}");
}
