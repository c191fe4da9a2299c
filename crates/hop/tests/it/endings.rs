//! Taking access away ends what it had opened within two seconds, whatever the client is doing: through a whole site, by
//! `hop admin` in a process of its own and by the forms of the pages. Prints the table that docs/operating.md has.

use crate::session::Session;
use crate::site::{role, up};
use crate::support::{Home, Server, port_of};
use crate::visitor::Visitor;
use nix::sys::signal::{Signal, kill};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

/// From the answer that acknowledges a change to the end of what it concerns.
const BOUND: Duration = Duration::from_secs(2);
/// What a client that does not read is given before its socket is cut.
const CUT: Duration = Duration::from_secs(2);
const TO: &str = "first@127.0.0.1";

/// A site with a member who loses one thing after the other.
struct Place {
    home: Home,
    server: Server,
    port: u16,
    project: String,
    /// The owner's pages, and the member's.
    owner: Visitor,
    bob: Visitor,
    bobs_id: String,
    table: Vec<(String, String, Duration)>,
    keys: usize,
}

/// A key of the member's.
struct Key {
    id: String,
    title: String,
    private: PathBuf,
}

/// By what way the change comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Admin,
    Page,
}

impl Place {
    fn new() -> Self {
        let home = Home::new();
        let server = up(&home);
        let port = port_of(&server.announced["ssh"]);
        let project = server.announced["project"]["id"].as_str().unwrap().to_owned();
        let owner = Visitor::sign_in(server.announced["sign_in"]["link"].as_str().unwrap());
        let added = home.documents(&["admin", "account", "add", "bob"]);
        let bob = Visitor::sign_in(added[0]["link"].as_str().unwrap());
        home.documents(&["admin", "member", "add", "first", "bob"]);
        let accounts = home.documents(&["admin", "account", "list"]);
        let found = accounts.iter().find(|account| account["name"] == "bob").unwrap();
        let bobs_id = found["id"].as_str().unwrap().to_owned();
        let (table, keys) = (Vec::new(), 0);
        Self { home, server, port, project, owner, bob, bobs_id, table, keys }
    }

    /// A new key of the member's.
    fn key(&mut self, valid: &[&str]) -> Key {
        self.keys += 1;
        let title = format!("key {}", self.keys);
        let private = self.home.make_key(&format!("key{}", self.keys));
        let file = format!("key{}.pub", self.keys);
        let words = ["admin", "key", "add", "--account", "bob", "--title", &title, "--file", &file];
        let keys = self.home.documents(&[&words, valid].concat());
        let added = keys.iter().find(|key| key["title"] == title.as_str()).unwrap();
        Key { id: added["id"].as_str().unwrap().to_owned(), title, private }
    }

    fn ssh(&self, key: &Key, words: &[&str]) -> Command {
        self.home.ssh_command(&key.private, self.port, words)
    }

    /// Makes a change and waits until it is acknowledged; when that was.
    fn change(&self, by: By, words: &[&str], form: (&Visitor, &str)) -> Instant {
        match by {
            By::Admin => drop(self.home.documents(&[&["admin"], words].concat())),
            By::Page => {
                let answer = form.0.post(form.1, "");
                assert_eq!(answer.status, 303, "{}: {}", form.1, answer.body);
            }
        }
        Instant::now()
    }

    fn remove(&self, by: By, key: &Key) -> Instant {
        self.change(by, &["key", "remove", &key.id], (&self.bob, &format!("/keys/{}/remove", key.id)))
    }

    fn note(&mut self, what: &str, by: By, took: Duration) {
        self.table.push((what.to_owned(), format!("{by:?}"), took));
        assert!(took <= BOUND, "{what}, by {by:?}: {took:?}");
    }

    /// Waits for the end of a client, which is told the reason.
    fn ends(&mut self, what: &str, by: By, session: Session, since: Instant, words: &str) {
        let over = session.over();
        assert_eq!(over.code, Some(255), "{what}: {}", over.said);
        assert!(over.said.contains(words), "{what}: {}", over.said);
        self.note(what, by, over.at.saturating_duration_since(since));
    }

    fn print(&self) {
        let mut lines =
            vec!["| what ends | `hop admin` | page |".to_owned(), "| --- | --- | --- |".to_owned()];
        let mut done: Vec<&str> = Vec::new();
        for (what, _, _) in &self.table {
            if done.contains(&what.as_str()) {
                continue;
            }
            done.push(what);
            let cell = |by: &str| {
                let row = self.table.iter().find(|row| row.0 == *what && row.1 == by);
                row.map_or("–".to_owned(), |row| format!("{} ms", row.2.as_millis()))
            };
            lines.push(format!("| {what} | {} | {} |", cell("Admin"), cell("Page")));
        }
        eprintln!("{}", lines.join("\n"));
    }
}

fn removed(key: &Key) -> String {
    format!("the key \"{}\" was removed", key.title)
}

#[test]
fn what_a_removed_key_had_opened_ends_in_time() {
    let mut place = Place::new();
    for by in [By::Admin, By::Page] {
        shell(&mut place, by);
        sftp(&mut place, by);
        without_a_session(&mut place, by);
        control_master(&mut place, by);
        inner_session(&mut place, by);
        stalled_client(&mut place, by);
        login_in_flight(&mut place, by);
    }
    place.print();
}

fn shell(place: &mut Place, by: By) {
    let key = place.key(&[]);
    let mut session = Session::start(place.ssh(&key, &["-tt", TO]));
    session.say("echo $((6 * 7))");
    while !session.line().ends_with("42") {}
    let since = place.remove(by, &key);
    place.ends("a running shell", by, session, since, &removed(&key));
}

fn sftp(place: &mut Place, by: By) {
    let key = place.key(&[]);
    let port = place.port.to_string();
    let command = place.home.client_command("sftp", &key.private, &["-F", "none", "-P", &port, TO]);
    let mut session = Session::start(command);
    session.say("pwd");
    assert!(session.line().contains("sftp> pwd"));
    assert!(session.line().contains("Remote working directory"));
    let since = place.remove(by, &key);
    // sftp itself waits for its next command; its connection does not.
    let at = session.hears(&removed(&key));
    place.note("sftp", by, at.saturating_duration_since(since));
}

fn without_a_session(place: &mut Place, by: By) {
    let cases: [(&str, &[&str], &str); 2] = [
        ("an idle connection (`-N`)", &["-v", "-N", TO], "Entering interactive session"),
        ("a listener (`-R`)", &["-v", "-N", "-R", "0:127.0.0.1:1", TO], "Allocated port"),
    ];
    for (what, words, up) in cases {
        let key = place.key(&[]);
        let mut session = Session::start(place.ssh(&key, words));
        session.hears(up);
        let since = place.remove(by, &key);
        place.ends(what, by, session, since, &removed(&key));
    }
}

fn control_master(place: &mut Place, by: By) {
    let key = place.key(&[]);
    let path = format!("ControlPath={}", place.home.path().join(format!("m{}", place.keys)).display());
    let master = Session::echoing(place.ssh(&key, &["-o", &path, "-M", TO]));
    let riders: Vec<_> =
        (0..5).map(|_| Session::echoing(place.ssh(&key, &["-o", &path, "-S", &path[12..], TO]))).collect();
    let since = place.remove(by, &key);
    place.ends("a ControlMaster", by, master, since, &removed(&key));
    let mut last = since;
    for rider in riders {
        let over = rider.over();
        assert_eq!(over.code, Some(255), "{}", over.said);
        last = last.max(over.at);
    }
    place.note("its five sessions", by, last - since);
}

fn inner_session(place: &mut Place, by: By) {
    let key = place.key(&[]);
    let (home, port) = (&place.home, place.port);
    let config = format!(
        "Host *\n  BatchMode yes\n  StrictHostKeyChecking no\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
         LogLevel ERROR\n  UserKnownHostsFile {0}/inner_hosts\n\
         Host door\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {0}/.ssh/id_ed25519\n\
         Host first\n  IdentityFile {1}\n",
        home.path().display(),
        key.private.display()
    );
    let config = home.write("inner_config", &config);
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config).args(["-J", "jump@door", "first@first"]);
    let session = Session::echoing(ssh);
    let since = place.remove(by, &key);
    place.ends("the inner session of `-J`", by, session, since, &removed(&key));
}

fn stalled_client(place: &mut Place, by: By) {
    let key = place.key(&[]);
    let beat = format!("beat{}", place.keys);
    let flood = format!("echo in; cat /dev/zero & while :; do echo x >> {beat}; sleep 0.02; done");
    let mut session = Session::start(place.ssh(&key, &[TO, &flood]));
    assert_eq!(session.line(), "in");
    // It reads nothing any more, and neither does its socket.
    kill(session.process(), Signal::SIGSTOP).unwrap();
    let beat = place.home.path().join("hop-data/projects").join(&place.project).join("home").join(beat);
    // Before its first one there is none.
    let last_beat =
        || std::fs::metadata(&beat).map_or(SystemTime::UNIX_EPOCH, |found| found.modified().unwrap());
    while SystemTime::now().duration_since(last_beat()).is_ok_and(|since| since > Duration::from_millis(100))
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let since = place.remove(by, &key);
    let acknowledged = SystemTime::now();
    while SystemTime::now().duration_since(last_beat()).is_ok_and(|past| past < Duration::from_millis(700)) {
        assert!(since.elapsed() < Duration::from_secs(30), "its processes go on");
        std::thread::sleep(Duration::from_millis(20));
    }
    let last = last_beat().duration_since(acknowledged).unwrap_or_default();
    place.note("a client that does not read: its programs", by, last);
    let live = || place.home.documents(&["admin", "session", "list", "--account", "bob"]).len();
    while live() > 0 {
        assert!(since.elapsed() < BOUND + CUT, "its socket is not cut");
    }
    let cut = since.elapsed();
    eprintln!("a client that does not read, by {by:?}: socket cut after {} ms", cut.as_millis());
    kill(session.process(), Signal::SIGCONT).unwrap();
}

fn login_in_flight(place: &mut Place, by: By) {
    let key = place.key(&[]);
    let keeper = role(&place.server, "keeper");
    // Nobody starts the project.
    kill(keeper, Signal::SIGSTOP).unwrap();
    let mut session = Session::start(place.ssh(&key, &["-v", TO, "true"]));
    session.hears("Still starting");
    let since = place.remove(by, &key);
    let over = session.over();
    kill(keeper, Signal::SIGCONT).unwrap();
    assert_eq!(over.code, Some(255), "{}", over.said);
    assert!(over.said.contains(&removed(&key)), "{}", over.said);
    place.note("a login in flight", by, over.at.saturating_duration_since(since));
}

#[test]
fn whatever_takes_access_away_does_so_in_time() {
    let mut place = Place::new();
    for by in [By::Admin, By::Page] {
        let key = place.key(&[]);
        let session = Session::echoing(place.ssh(&key, &[TO]));
        let form = format!("/projects/{}/members/{}/remove", place.project, place.bobs_id);
        let since = place.change(by, &["member", "remove", "first", "bob"], (&place.owner, &form));
        place.ends("a member removed", by, session, since, "no longer opens this project");
        place.home.documents(&["admin", "member", "add", "first", "bob"]);

        let session = Session::echoing(place.ssh(&key, &[TO]));
        let live = place.home.documents(&["admin", "session", "list", "--account", "bob"]);
        let id = live[0]["id"].as_str().unwrap().to_owned();
        let form = format!("/projects/{}/sessions/{id}/end", place.project);
        let since = place.change(by, &["session", "end", &id], (&place.owner, &form));
        place.ends("a session ended by somebody", by, session, since, "this session was ended");

        let words = ["admin", "project", "add", "Doomed", "--owner", "bob"];
        let doomed = place.home.documents(&words)[0]["id"].as_str().unwrap().to_owned();
        let session = Session::echoing(place.ssh(&key, &[&format!("{doomed}@127.0.0.1")]));
        let form = format!("/projects/{doomed}/remove");
        let since = place.change(by, &["project", "remove", &doomed], (&place.bob, &form));
        place.ends("a project removed", by, session, since, "the project is closed");
    }
    // The pages have no forms for these.
    let by = By::Admin;
    let none = "/nowhere";
    let key = place.key(&[]);
    let session = Session::echoing(place.ssh(&key, &[TO]));
    let since = place.change(by, &["project", "suspend", "first"], (&place.owner, none));
    place.ends("a project suspended", by, session, since, "the project is closed");
    place.home.documents(&["admin", "project", "activate", "first"]);

    let session = Session::echoing(place.ssh(&key, &[TO]));
    let since = place.change(by, &["account", "suspend", "bob"], (&place.owner, none));
    place.ends("an account suspended", by, session, since, "the account is suspended");
    place.home.documents(&["admin", "account", "activate", "bob"]);

    let lasts = Duration::from_secs(6);
    let before = Instant::now();
    let key = place.key(&["--valid", "6s"]);
    let session = Session::echoing(place.ssh(&key, &[TO]));
    place.ends("a key whose time is over", by, session, before + lasts, "has expired");

    let private = place.home.make_key("certified");
    let words = ["admin", "cert", "issue", "--account", "bob", "--file", "certified.pub"];
    let issued = place.home.documents(&words);
    place.home.write("certified-cert.pub", issued[0]["certificate"].as_str().unwrap());
    let serial = issued[0]["serial"].as_str().unwrap();
    let session = Session::echoing(place.home.ssh_command(&private, place.port, &[TO]));
    let since = place.change(by, &["cert", "revoke", serial], (&place.owner, none));
    place.ends("a certificate revoked", by, session, since, "was revoked");
    place.print();
}
