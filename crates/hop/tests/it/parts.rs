//! A site whose parts are started one by one, as services of their own.

use crate::session::Session;
use crate::site::process;
use crate::support::{Home, Server, port_of};
use nix::sys::signal::{Signal, kill};

fn part(home: &Home, name: &str) -> Server {
    home.serve(&["serve", "--config", "site.toml", "--only", name, "--json"])
}

#[test]
fn each_part_is_a_service_and_finds_the_others() {
    let home = Home::new();
    home.write("site.toml", "data = 'data'\nssh = '127.0.0.1:0'\nhttp = '127.0.0.1:0'\n");
    let (mut keeper, mut signer, mut site) = std::thread::scope(|scope| {
        let signer = part(&home, "signer");
        // Started too early, it waits for the site's first start.
        let keeper = scope.spawn(|| part(&home, "keeper"));
        let site = part(&home, "site");
        (keeper.join().unwrap(), signer, site)
    });
    assert_eq!(keeper.announced["serving"], serde_json::json!(["keeper"]));
    let port = port_of(&site.announced["ssh"]);
    let key = home.path().join(".ssh/id_ed25519");
    let admin = |words: &[&str]| home.documents(&[&["admin", "--config", "site.toml"], words].concat());
    admin(&["key", "add", "--account", "admin", "--title", "laptop", "--file", ".ssh/id_ed25519.pub"]);
    let entered = home.ssh(&key, port, "first", "echo kept > file; cat /etc/ssh/ssh_known_hosts");
    assert_eq!(entered.code, Some(0), "{}", entered.stderr);
    // Projects know the gateway's host keys, though the keeper did not start it.
    let host_key = site.announced["host_key_lines"][0].as_str().unwrap();
    assert!(entered.stdout.contains(host_key), "{}", entered.stdout);
    admin(&["cert", "issue", "--account", "admin", "--file", ".ssh/id_ed25519.pub"]);

    for name in ["keeper", "signer", "site"] {
        let second = home.run(&["serve", "--config", "site.toml", "--only", name]);
        assert_eq!(second.code, Some(69), "{}", second.stderr);
        assert!(second.stderr.contains(&format!("as its {name}")), "{}", second.stderr);
    }

    // The keeper's service is killed with its process: projects end, the gateway stays.
    let open = Session::echoing(home.ssh_command(&key, port, &["first@127.0.0.1"]));
    keeper.child.kill().unwrap();
    keeper.child.wait().unwrap();
    assert_eq!(open.over().code, Some(255));
    let refused = home.ssh(&key, port, "first", "cat file");
    assert_eq!(refused.code, Some(255), "{}", refused.stderr);
    assert!(refused.stderr.contains("the site cannot start projects now"), "{}", refused.stderr);
    let mut keeper = part(&home, "keeper");
    assert_eq!(home.ssh(&key, port, "first", "cat file").stdout, "kept\n");

    // Each stops by itself, in any order.
    for server in [&mut signer, &mut keeper, &mut site] {
        kill(process(server), Signal::SIGTERM).unwrap();
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_keeper_without_a_site_says_what_it_waits_for() {
    let home = Home::new();
    home.write("site.toml", "data = 'data'\nssh = '127.0.0.1:0'\nhttp = '127.0.0.1:0'\n");
    let mut keeper = home.hop(&["serve", "--config", "site.toml", "--only", "keeper"]);
    let mut keeper = keeper.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut errors = std::io::BufReader::new(keeper.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut errors, &mut said).unwrap();
    assert!(said.contains("waiting for the site"), "{said}");
    kill(nix::unistd::Pid::from_raw(keeper.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(keeper.wait().unwrap().code(), Some(0));
}
