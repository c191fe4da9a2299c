//! What is killed in the middle: what was acknowledged is there, and the next login works.

use crate::session::Session;
use crate::site::{role, up, up_with};
use crate::support::{Home, port_of};
use hop_e2e::OwnPostgres;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

const SERVE: [&str; 4] = ["serve", "--config", "site.toml", "--json"];

/// The documents that `hop admin --config` printed.
fn admin(home: &Home, words: &[&str]) -> Vec<Value> {
    home.documents(&[&["admin", "--config", "site.toml"], words].concat())
}

fn names(accounts: &[Value]) -> Vec<&str> {
    accounts.iter().map(|account| account["name"].as_str().unwrap()).collect()
}

#[test]
fn postgresql_is_killed_and_comes_back() {
    const GRACE: Duration = Duration::from_secs(8);
    let home = Home::new();
    let mut database = OwnPostgres::start();
    let settings = format!(
        "data = 'data'\nssh = '127.0.0.1:0'\nhttp = '127.0.0.1:0'\nstore = '{}'\n\
         [sessions]\nrevocation_grace = '{}s'\n",
        database.url(),
        GRACE.as_secs()
    );
    home.write("site.toml", &settings);
    let server = up_with(&home, &SERVE);
    let port = port_of(&server.announced["ssh"]);
    let key = home.path().join(".ssh/id_ed25519");
    admin(&home, &["key", "add", "--account", "admin", "--title", "laptop", "--file", ".ssh/id_ed25519.pub"]);
    let to = "first@127.0.0.1";
    let mut open = Session::echoing(home.ssh_command(&key, port, &[to]));
    let mut idle = Session::start(home.ssh_command(&key, port, &["-v", "-N", to]));
    idle.hears("Entering interactive session");
    assert_eq!(home.ssh(&key, port, "first", "echo kept > file && sync").code, Some(0));
    admin(&home, &["account", "add", "acknowledged"]);
    while admin(&home, &["session", "list"]).len() < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }

    database.kill();
    let killed = Instant::now();
    let refused = home.ssh(&key, port, "first", "true");
    assert_eq!(refused.code, Some(255), "{}", refused.stderr);
    assert!(refused.stderr.contains("the site's records cannot be reached now"), "{}", refused.stderr);
    eprintln!("refused after {:?}", killed.elapsed());
    assert!(killed.elapsed() < GRACE, "the login took too long to be refused: {:?}", killed.elapsed());
    open.echo("still there");
    assert!(idle.is_open());
    for (name, session) in [("with a command", open), ("idle", idle)] {
        let over = session.over();
        let took = over.at - killed;
        eprintln!("{name}: ended {took:?} after the database was killed, with a grace of {GRACE:?}");
        assert_eq!(over.code, Some(255), "{name}: {}", over.said);
        assert!(over.said.contains("the site's records cannot be reached"), "{name}: {}", over.said);
        // The grace counts from the first question that was not answered: one is asked every second, for two at most.
        assert!(took > GRACE - Duration::from_secs(1), "{name}: {took:?}");
        assert!(took < GRACE + Duration::from_secs(8), "{name}: {took:?}");
    }

    database.start_again();
    let back = Instant::now();
    let entered = loop {
        let entered = home.ssh(&key, port, "first", "cat file");
        if entered.code == Some(0) || back.elapsed() > Duration::from_secs(20) {
            break entered;
        }
    };
    eprintln!("a login works {:?} after the database is back", back.elapsed());
    assert_eq!(entered.stdout, "kept\n", "{}", entered.stderr);
    assert!(names(&admin(&home, &["account", "list"])).contains(&"acknowledged"));
    assert_eq!(admin(&home, &["audit", "verify"])[0]["intact"], true);
    // Their ends are written now, though nobody could when they came.
    let start = Instant::now();
    while !admin(&home, &["session", "list"]).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "sessions that have ended are listed as open");
    }

    // Site and database together: the site is started until the database is there, and whoever connects waits.
    let open = Session::echoing(home.ssh_command(&key, port, &[to]));
    database.kill();
    kill(role(&server, "site"), Signal::SIGKILL).unwrap();
    let mut waiting = home.ssh_command(&key, port, &[to, "cat file"]);
    let waiting = std::thread::spawn(move || waiting.output().unwrap());
    assert_eq!(open.over().code, Some(255));
    database.start_again();
    let entered = waiting.join().unwrap();
    let said = String::from_utf8_lossy(&entered.stderr);
    assert_eq!(String::from_utf8_lossy(&entered.stdout), "kept\n", "{said}");
    let start = Instant::now();
    while !admin(&home, &["session", "list"]).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "a session that was lost is listed as open");
    }
}

/// The processes that began, however indirectly, with this one.
pub(crate) fn descendants(of: Pid) -> Vec<Pid> {
    let output = Command::new("pgrep").args(["-P", &of.to_string()]).output().unwrap();
    let children = String::from_utf8(output.stdout).unwrap();
    let children = children.lines().map(|line| Pid::from_raw(line.parse().unwrap()));
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

/// The processes of projects' endpoints.
pub(crate) fn endpoints(keeper: Pid) -> Vec<Pid> {
    let is_endpoint = |process: &Pid| {
        let words = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0);
        words.next().is_some_and(|program| program.ends_with(b"/hop")) && words.next() == Some(b"endpoint")
    };
    descendants(keeper).into_iter().filter(is_endpoint).collect()
}

#[test]
fn an_endpoint_is_killed_and_starts_again_with_the_next_login() {
    let home = Home::new();
    let server = up(&home);
    let port = port_of(&server.announced["ssh"]);
    let key = home.path().join(".ssh/id_ed25519");
    let to = "first@127.0.0.1";
    let open = Session::echoing(home.ssh_command(&key, port, &[to]));
    assert_eq!(home.ssh(&key, port, "first", "echo kept > file && sync").code, Some(0));
    let found = endpoints(role(&server, "keeper"));
    let [endpoint] = found[..] else { panic!("one endpoint: {found:?}") };
    kill(endpoint, Signal::SIGKILL).unwrap();
    let killed = Instant::now();
    let over = open.over();
    eprintln!("ended {:?} after its endpoint was killed", over.at - killed);
    assert_eq!(over.code, Some(255), "{}", over.said);
    assert!(over.said.contains("Received disconnect"), "{}", over.said);
    assert!(over.said.contains("the other end of the connection is gone"), "{}", over.said);
    let entered = home.ssh(&key, port, "first", "cat file");
    assert_eq!(entered.stdout, "kept\n", "{}", entered.stderr);
    let again = endpoints(role(&server, "keeper"));
    assert!(again.len() == 1 && again != found, "{again:?}");
}
