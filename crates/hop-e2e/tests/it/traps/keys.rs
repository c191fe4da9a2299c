//! Traps 9 and 12: what a server announces of itself, and signatures that are bound to its host key.

use hop_e2e::program::{program, python};
use hop_e2e::server::{Kind, Options};
use hop_e2e::sshd::Release;
use hop_e2e::{Identity, Run};
use hop_keys::load_private_key;
use hop_ssh::message;
use hop_testkit::RawPeer;
use hop_testkit::raw::userauth::{self, Proof};

use crate::relay::site::{Choice, Place, Site};

#[test]
fn trap_09_endpoint_announces_its_signature_algorithms() {
    announces_its_signature_algorithms(Place::Endpoint, &Choice::default());
}

/// The server behind takes Ed25519 only: that is a fact of the other leg.
#[test]
fn trap_09_relay_announces_its_own_signature_algorithms() {
    let server =
        Options { sshd_config: "PubkeyAcceptedAlgorithms ssh-ed25519\n".to_owned(), ..Options::default() };
    let choice = Choice { server, kind: Kind::Sshd(Release::V9_2), ..Choice::default() };
    announces_its_signature_algorithms(Place::Relay, &choice);
}

#[test]
fn trap_09_endpoint_answers_pings() {
    answers_pings(Place::Endpoint, &Choice::default());
}

/// The server behind is too old to know pings.
#[test]
fn trap_09_relay_answers_pings() {
    let choice = Choice { kind: Kind::Sshd(Release::V9_2), ..Choice::default() };
    answers_pings(Place::Relay, &choice);
}

#[test]
fn trap_12_endpoint_checks_which_host_a_signature_is_for() {
    checks_which_host_a_signature_is_for(Place::Endpoint);
}

#[test]
fn trap_12_relay_checks_which_host_a_signature_is_for() {
    checks_which_host_a_signature_is_for(Place::Relay);
}

/// Without the announcement a client would sign by SHA-1, or not at all.
fn announces_its_signature_algorithms(place: Place, choice: &Choice) {
    // The key must be known where the client arrives.
    let keys = hop_e2e::Scratch::new();
    let rsa = Identity::generate(&keys, "rsa", "rsa", &["-b", "3072"]);
    let mut choice = Choice { server: choice.server.clone(), kind: choice.kind, ..Choice::default() };
    match place {
        Place::Endpoint => choice.server.more_keys = format!("{}\n", rsa.public),
        Place::Relay => {
            let more = keys.write("more_keys", format!("{}\n", rsa.public));
            choice = choice.relay(move |config| config.authorized_keys.push(more.clone()));
        }
    }
    let site = Site::with(place, &choice);
    for release in [Release::V9_2, Release::V10_0] {
        let config = site.config_with_key(&rsa.private);
        let ssh = Run::from_words(&release.words("ssh")).arg("-F").arg(config);
        let finished = ssh.args(["-vvv", "hop", "echo in"]).success();
        assert_eq!(finished.stdout(), "in\n");
        let told = finished.stderr();
        let announced = told.lines().find(|line| line.contains("server-sig-algs=")).expect("an announcement");
        for name in ["ssh-ed25519", "rsa-sha2-512", "sk-ssh-ed25519@openssh.com"] {
            assert!(announced.contains(name), "{announced}");
        }
        assert!(!announced.contains("ssh-rsa,") && !announced.contains("ssh-dss"), "{announced}");
        assert!(told.contains("signing using rsa-sha2-512"), "{finished}");
    }
}

/// OpenSSH hides when keys are struck: it sends pings between them, and expects answers.
fn answers_pings(place: Place, choice: &Choice) {
    let site = Site::with(place, choice);
    let log = site.scratch().join("client.log");
    // A person's pauses: it is in them that the client sends something else.
    let script = "set timeout 60\nspawn -noecho {*}$argv\nexpect ready\nforeach key {1 2 3 4 5 6} {\nsend $key\n\
                  expect $key\nafter 100\n}\nsend \\r\nexpect \"done 123456\"\nexpect eof\nexit [lindex [wait] 3]\n";
    let script = site.scratch().write("type.exp", script);
    let ssh = Run::new(program("expect")).arg("-f").arg(script);
    let ssh = ssh.args(Release::V10_0.words("ssh")).arg("-F").arg(&site.ssh_config);
    let ssh = ssh.args(["-tt", "-vvv", "-o", "ObscureKeystrokeTiming=yes", "-E"]).arg(&log);
    let _ = ssh.args(["hop", "echo ready; read line; echo done $line"]).success();
    let log = std::fs::read_to_string(log).unwrap();
    let chaff: u32 = log
        .lines()
        .filter_map(|line| line.split_once(" chaff packets sent")?.0.rsplit_once('(')?.1.parse::<u32>().ok())
        .sum();
    assert!(chaff > 0, "no keystroke was hidden:\n{log}");
    assert!(!log.contains("receive packet: type 3\n"), "pings were announced and are not known:\n{log}");

    // The client's log does not show the answers; paramiko can be taught to.
    let code = "import paramiko, sys\n\
                answers = []\n\
                t = paramiko.Transport(('127.0.0.1', int(sys.argv[1])))\n\
                t._handler_table[193] = lambda m: answers.append(m.get_string())\n\
                t.connect(username=sys.argv[2], pkey=paramiko.Ed25519Key.from_private_key_file(sys.argv[3]))\n\
                for n in range(5):\n\
                \x20   m = paramiko.Message()\n\
                \x20   m.add_byte(bytes([192]))\n\
                \x20   m.add_string(b'ping %d' % n)\n\
                \x20   t._send_user_message(m)\n\
                s = t.open_session()\n\
                s.exec_command('exit 3')\n\
                print(s.recv_exit_status(), *answers)\n\
                t.close()\n";
    let port = site.address.port().to_string();
    let paramiko = Run::new(python()).args(["-c", code, &port, &site.user]).arg(&site.key.private);
    let wanted = "3 b'ping 0' b'ping 1' b'ping 2' b'ping 3' b'ping 4'\n";
    assert_eq!(paramiko.success().stdout(), wanted);
}

/// Somebody could pass a client's signatures on who has another host key.
fn checks_which_host_a_signature_is_for(place: Place) {
    let mut site = Site::at(place);
    let own = site.private_key();
    let elsewhere = Identity::ed25519(site.scratch(), "elsewhere");
    let elsewhere = load_private_key(&elsewhere.private, None).unwrap().public().blob().to_vec();
    let behind = load_private_key(&site.server().host_key.private, None).unwrap().public().blob().to_vec();
    let mut raw = RawPeer::connect(site.address, "Raw_1");
    assert!(raw.transport().host_key().is_some());
    raw.send(&userauth::service_request());
    raw.expect(message::SERVICE_ACCEPT);
    assert!(raw.transport().peer_extensions().publickey_hostbound, "not announced");
    let session = raw.binding().session_id().to_vec();
    let right = raw.binding().host_key_blob().to_vec();
    let mut others = vec![elsewhere, Vec::new()];
    if place == Place::Relay {
        // A signature for the server behind is none for the relay.
        others.push(behind);
    }
    let proof = |host_key| Proof {
        algorithm: "ssh-ed25519",
        blob: own.public().blob(),
        key: &own,
        session: &session,
        host_key: Some(host_key),
    };
    for host_key in &others {
        raw.send(&userauth::signed(&site.user, &proof(host_key)));
        raw.expect(message::USERAUTH_FAILURE);
    }
    raw.send(&userauth::signed(&site.user, &proof(&right)));
    raw.expect(message::USERAUTH_SUCCESS);
    // And it is what OpenSSH's client uses.
    let finished = site.openssh(Release::V9_2, "ssh").args(["-vvv", "hop", "true"]).success();
    assert!(finished.stderr().contains("publickey-hostbound@openssh.com=<0>"), "{finished}");
    assert!(finished.stderr().contains("publickey-hostbound-v00@openssh.com"), "{finished}");
}
