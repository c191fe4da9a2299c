//! What was entrusted answers the recorded question of its host, once, and no other.

use super::TOTP_SECRET;
use super::machine::Machine;
use std::time::Duration;

/// The next code may be half a minute away.
const NEXT_CODE: Duration = Duration::from_secs(50);
const PASSPHRASE: &str = "words that open the file";

/// The machine, its codes strict, with a passphrase for the encrypted file where nobody types.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.be_strict();
    machine.program("passphrase", PASSPHRASE);
    let file = machine.path().join("passphrase");
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    machine
}

/// Stores a seed for `totp` with a question, as a script does.
fn store(machine: &Machine, seed: &str) {
    let passphrase = machine.path().join("passphrase");
    let line = format!(
        "echo {seed} | HOP_PASSPHRASE_FILE={} hop secret set totp totp --stdin --site-allows-it \
         --question 'Verification code:'",
        passphrase.display()
    );
    let _ = machine.shell(&line).success();
}

#[test]
fn codes_from_the_encrypted_file_and_none_of_them_twice() {
    let machine = machine();
    store(&machine, TOTP_SECRET);
    // Nobody is there.
    let _ = machine.shell("hop login totp").limit(NEXT_CODE).success();
    let _ = machine.hop(&["logout", "totp"]).success();
    let again = machine.shell("hop login totp").limit(NEXT_CODE).success();
    assert!(again.stderr().contains("s for the next code of totp"), "{again}");
    let _ = machine.hop(&["exec", "totp", "--", "true"]).success();
    assert_eq!(machine.accepted(2202), 2, "{}", machine.log_text(2202));
    assert!(!machine.log_text(2202).contains("Failed keyboard"), "{}", machine.log_text(2202));
    let listed = machine.hop(&["secret", "list"]).success().stdout();
    assert_eq!(listed, "totp  totp  answers \"Verification code:\"\n");
    for file in ["data/hop/secrets", "home/.local/state/hop/answers.json", "s/.log"] {
        let bytes = std::fs::read(machine.path().join(file)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(TOTP_SECRET) && !text.contains(PASSPHRASE), "{file}");
    }
}

#[test]
fn a_question_is_learnt_from_the_person() {
    let machine = machine();
    machine.expect(&format!(
        "spawn hop secret set totp totp\nwants {{the site of totp allows it?}}\nsend \"y\\r\"\n\
         wants {{base32 text:}}\nsend \"{TOTP_SECRET}\\r\"\nwants {{A new passphrase}}\nsend \"{PASSPHRASE}\\r\"\n\
         wants {{Once more:}}\nsend \"{PASSPHRASE}\\r\"\nwants {{from then on the same question is answered}}\nends 0\n\
         spawn hop login totp\nwants {{hop answers this question from the next time on.*Verification code:}}\n\
         send \"[code]\\r\"\nwants {{totp is up}}\nends 0\n"
    ));
    let _ = machine.hop(&["logout", "totp"]).success();
    // The code that the person typed is not sent once more.
    let _ = machine.shell("hop login totp").limit(NEXT_CODE).success();
    assert!(!machine.log_text(2202).contains("Failed keyboard"), "{}", machine.log_text(2202));
    let _ = machine.hop(&["secret", "remove", "totp"]).success();
    assert_eq!(
        machine.hop(&["secret", "list", "--json"]).success().stdout(),
        "{\"schema_version\":1,\"secrets\":[]}\n"
    );
}

#[test]
fn the_site_has_to_allow_it() {
    let machine = machine();
    let refused =
        machine.shell(&format!("echo {TOTP_SECRET} | hop secret set totp totp --stdin")).status(77).stderr();
    assert!(refused.contains("it is not said that the site of totp allows it"), "{refused}");
    store(&machine, TOTP_SECRET);
    machine.decide("[host.\"127.0.0.1\"]\ntotp = \"never\"\n");
    machine.expect(
        "spawn hop login totp\nwants {config.toml forbids to compute codes*Verification code:}\nsend \"[code]\\r\"\n\
         wants {totp is up}\nends 0\n",
    );
    let refused =
        machine.shell(&format!("echo {TOTP_SECRET} | hop secret set totp totp --stdin")).status(77).stderr();
    assert!(refused.contains("forbids to compute codes of totp"), "{refused}");
}

#[test]
fn a_refused_secret_is_used_once_and_then_a_person_is_asked() {
    let machine = machine();
    store(&machine, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let _ = machine.hop(&["ssh-config", "enable", "totp", "--yes"]).success();
    let refused = machine.shell("hop login totp").limit(NEXT_CODE).status(77).stderr();
    assert!(refused.contains("(answered with the stored totp)"), "{refused}");
    assert!(refused.contains("is not used again until you say so: hop secret enable totp"), "{refused}");
    for _ in 0..3 {
        let _ = machine.shell("ssh totp true").status(255);
    }
    assert_eq!(machine.log_text(2202).matches("Failed keyboard-interactive").count(), 1);
    let listed = machine.hop(&["secret", "list"]).success().stdout();
    assert_eq!(
        listed,
        "totp  totp  not used: a login failed after it was used (hop secret enable totp totp)\n"
    );
    machine.expect(
        "spawn hop login totp\nwants {hop does not use the stored totp*Verification code:}\nsend \"[code]\\r\"\n\
         wants {totp is up}\nends 0\n",
    );
    let passphrase = machine.path().join("passphrase");
    let _ = machine
        .shell(&format!("HOP_PASSPHRASE_FILE={} hop secret enable totp", passphrase.display()))
        .success();
    assert!(machine.hop(&["secret", "list"]).success().stdout().contains("answers"));
}

#[test]
fn codes_from_gnome_keyring() {
    let machine = machine();
    let (_, _) =
        (hop_e2e::program::program("dbus-run-session"), hop_e2e::program::program("gnome-keyring-daemon"));
    let session = format!(
        "export XDG_RUNTIME_DIR=$(mktemp -d); printf login | gnome-keyring-daemon --unlock --components=secrets > /dev/null; \
         echo {TOTP_SECRET} | hop secret set totp totp --stdin --site-allows-it --question 'Verification code:' && \
         hop login totp"
    );
    let ended = machine.run("setsid").args(["--wait", "dbus-run-session", "--", "/bin/bash", "-c", &session]);
    let ended = ended.limit(NEXT_CODE).success();
    assert!(ended.stderr().contains("stored in the desktop's keyring"), "{ended}");
    assert!(!machine.path().join("data/hop/secrets").exists());
    let _ = machine.hop(&["exec", "totp", "--", "true"]).success();
    assert_eq!(machine.accepted(2202), 1);
}

#[test]
fn a_persons_code_shows_how_far_the_clock_is_off() {
    let machine = machine();
    // The site's clock is five minutes ahead of this machine's.
    let ahead = machine.path().join("ahead-seed");
    let text = format!("{TOTP_SECRET}\n\" TIME_SKEW 10\n\" WINDOW_SIZE 3\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n");
    std::fs::write(&ahead, text).unwrap();
    std::fs::set_permissions(&ahead, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    let module =
        format!("pam_google_authenticator.so secret={} user=root allowed_perm=0400", ahead.display());
    machine.pam(2211, "ahead", &format!("auth required {module}"));
    let passphrase = machine.path().join("passphrase");
    let store = format!(
        "echo {TOTP_SECRET} | HOP_PASSPHRASE_FILE={} hop secret set ahead totp --stdin --site-allows-it",
        passphrase.display()
    );
    let _ = machine.shell(&store).success();
    machine.expect(&format!(
        "spawn hop login ahead\nwants {{Verification code:}}\n\
         send \"[exec oathtool --totp -b --now {{now + 5 minutes}} {TOTP_SECRET}]\\r\"\n\
         wants {{clock of this machine is 5 min 0 s behind*ahead is up}}\nends 0\n"
    ));
    let _ = machine.hop(&["logout", "ahead"]).success();
    let _ = machine.shell("hop login ahead").limit(NEXT_CODE).success();
    let _ = machine.hop(&["exec", "ahead", "--", "true"]).success();
    assert_eq!(machine.accepted(2211), 2, "{}", machine.log_text(2211));
    assert!(!machine.log_text(2211).contains("Failed keyboard"), "{}", machine.log_text(2211));
}

#[test]
fn a_password_and_a_code_in_one_line() {
    let machine = machine();
    let check = machine.program("check", "#!/bin/sh\n[ \"$(tr -d '\\0')\" = 'hunter 2' ]\n");
    let auth = format!(
        "auth requisite pam_google_authenticator.so secret={} user=root allowed_perm=0400 forward_pass\n\
         auth required pam_exec.so expose_authtok quiet {}",
        machine.path().join("totp").display(),
        check.display()
    );
    machine.pam(2206, "joined", &auth);
    let set = |kind: &str, text: &str| {
        let line = format!(
            "echo '{text}' | HOP_PASSPHRASE_FILE={} hop secret set joined {kind} --stdin --site-allows-it \
             --question 'Password & verification code:'",
            machine.path().join("passphrase").display()
        );
        let _ = machine.shell(&line).success();
    };
    set("password", "hunter 2");
    set("totp", TOTP_SECRET);
    let _ = machine.shell("hop login joined").limit(NEXT_CODE).success();
    // sshd logs it beside its answer.
    let _ = machine.hop(&["exec", "joined", "--", "true"]).success();
    assert_eq!(machine.accepted(2206), 1);
}

#[test]
fn a_process_beside_the_login_gets_nothing() {
    let machine = machine();
    store(&machine, TOTP_SECRET);
    // A child of the login's own ssh, as whoever can write ~/.ssh/config starts it.
    let stolen = machine.path().join("stolen");
    let thief = machine.program(
        "thief",
        &format!(
            "#!/bin/sh\n# ssh goes when nobody can write to it any more.\nexec 3>&1\nexec \"$HOP_SOCKET_DIR\"/.bin/hop-askpass '(root@127.0.0.1) Verification code: ' > {}\n",
            stolen.display()
        ),
    );
    let config = std::fs::read_to_string(machine.home(".ssh/config")).unwrap();
    let host = format!("Host totp\n    ProxyCommand {}\n", thief.display());
    std::fs::write(machine.home(".ssh/config"), config + &host).unwrap();
    let refused = machine.shell("hop login totp").status(77).stderr();
    assert!(refused.contains("needs a person, and nobody is there"), "{refused}");
    assert_eq!(std::fs::read_to_string(&stolen).unwrap(), "");
    let book = std::fs::read_to_string(machine.home(".local/state/hop/answers.json")).unwrap();
    assert!(book.contains("\"codes\": {}"), "no code was made: {book}");
}

#[test]
fn a_key_that_is_about_to_be_published_is_not_used() {
    let machine = Machine::new();
    std::fs::create_dir(machine.home(".ssh/.git")).unwrap();
    let refused = machine.hop(&["login", "plain"]).status(78).stderr();
    assert!(refused.contains("/root/.ssh/id_ed25519 lies in the git work tree /root/.ssh"), "{refused}");
    assert!(refused.contains("hint: move it elsewhere"), "{refused}");
    std::fs::remove_dir(machine.home(".ssh/.git")).unwrap();
    // So for a certificate that the configuration names.
    std::fs::create_dir_all(machine.home("paper/.git")).unwrap();
    std::fs::write(machine.home("paper/id-cert.pub"), "").unwrap();
    let config = std::fs::read_to_string(machine.home(".ssh/config")).unwrap();
    let named = format!("{config}Host single\n    CertificateFile ~/paper/id-cert.pub\n");
    std::fs::write(machine.home(".ssh/config"), named).unwrap();
    let refused = machine.hop(&["login", "single"]).status(78).stderr();
    let wanted = "with an exposed certificate: /root/paper/id-cert.pub lies in the git work tree /root/paper";
    assert!(refused.contains(wanted), "{refused}");
}

#[test]
fn choices_links_and_banners_reach_the_person() {
    let machine = Machine::new();
    let ways = machine.program(
        "ways",
        "#!/bin/sh\necho 'Visit https://idp.example.org/device and type ABCD-1234, or choose:'\n\
         echo ' 1. Duo Push to XXX-1234'\necho ' 2. Phone call'\n",
    );
    let auth = format!(
        "auth optional pam_exec.so stdout {}\n\
         auth required pam_google_authenticator.so secret={} user=root allowed_perm=0400 [authtok_prompt=Passcode or option (1-2): ]",
        ways.display(),
        machine.path().join("totp").display()
    );
    machine.pam(2207, "duo", &auth);
    machine.expect(
        "spawn hop login duo\nwants {https://idp.example.org/device*1. Duo Push*Passcode or option (1-2):}\n\
         send \"[code]\\r\"\nwants {duo is up}\nends 0\n",
    );
    // What a server says before it asks is on ssh's standard error only.
    let banner = machine.path().join("banner");
    std::fs::write(&banner, "Approve the push on your telephone, then type its code.\n").unwrap();
    let name = machine.path().join("hop-totp");
    let options = [
        "UsePAM=yes",
        "AuthenticationMethods=publickey,keyboard-interactive:pam",
        &format!("Banner={}", banner.display()),
    ];
    machine.sshd(2208, name.to_str().unwrap(), &options);
    let config = std::fs::read_to_string(machine.home(".ssh/config")).unwrap();
    std::fs::write(
        machine.home(".ssh/config"),
        config + "Host push\n    HostName 127.0.0.1\n    Port 2208\n",
    )
    .unwrap();
    machine.expect(
        "spawn hop login push\nwants {Approve the push on your telephone*Verification code:}\nsend \"[code]\\r\"\n\
         wants {push is up}\nends 0\n",
    );
}

#[test]
fn a_password_alone() {
    let machine = machine();
    let check = machine.program("check", "#!/bin/sh\n[ \"$(tr -d '\\0')\" = 'hunter 2' ]\n");
    let auth = format!("auth required pam_exec.so expose_authtok quiet {}", check.display());
    machine.pam(2212, "word", &auth);
    machine.sshd(
        2213,
        machine.path().join("word").to_str().unwrap(),
        &[
            "UsePAM=yes",
            "AuthenticationMethods=password",
            "PasswordAuthentication=yes",
            "PermitRootLogin=yes",
        ],
    );
    machine.add_host("Host password\n    HostName 127.0.0.1\n    Port 2213\n");
    let passphrase = machine.path().join("passphrase");
    let store = format!(
        "echo 'hunter 2' | HOP_PASSPHRASE_FILE={} hop secret set password password --stdin",
        passphrase.display()
    );
    // The question is ssh's own: nobody has to be asked it first.
    let _ = machine.shell(&store).success();
    let _ = machine.hop(&["login", "password"]).success();
    let _ = machine.hop(&["exec", "password", "--", "true"]).success();
    assert!(machine.log_text(2213).contains("Accepted password"), "{}", machine.log_text(2213));
}

#[test]
fn a_passphrase_alone() {
    let machine = machine();
    let key = machine.home(".ssh/locked");
    let made = machine.run("ssh-keygen").args([
        "-q",
        "-t",
        "ed25519",
        "-N",
        "long words",
        "-f",
        "/root/.ssh/locked",
    ]);
    let _ = made.success();
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let known = machine.home(".ssh/authorized_keys");
    let keys = std::fs::read_to_string(&known).unwrap();
    std::fs::write(&known, keys + &public).unwrap();
    machine.add_host(
        "Host locked\n    HostName 127.0.0.1\n    Port 2201\n    IdentityFile ~/.ssh/locked\n    IdentitiesOnly yes\n",
    );
    let passphrase = machine.path().join("passphrase");
    let store = format!(
        "echo 'long words' | HOP_PASSPHRASE_FILE={} hop secret set locked passphrase --stdin",
        passphrase.display()
    );
    let _ = machine.shell(&store).success();
    let _ = machine.hop(&["login", "locked"]).success();
    let _ = machine.hop(&["exec", "locked", "--", "true"]).success();
    assert_eq!(machine.accepted(2201), 1);
}
