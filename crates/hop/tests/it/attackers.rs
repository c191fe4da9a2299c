//! People who guess keys, with hydra and with our own engine: they are slowed, and others log in as if nothing were.

use crate::site::up;
use crate::support::{Home, port_of};
use hop_e2e::program::program;
use hop_testkit::{Attack, AttackPlan, Detour};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const TIMES: usize = 15;
/// What the machine may add to one login by itself.
const NOISE: Duration = Duration::from_millis(25);

/// hydra with keys of its own, from the attacker's address.
struct Hydra {
    child: Child,
    tried: Arc<AtomicU64>,
    /// Keys that it holds for right.
    found: Arc<AtomicU64>,
    _detour: Detour,
}

impl Hydra {
    async fn begin(home: &Home, site: SocketAddr) -> Self {
        let detour = Detour::begin(ATTACKER, site).await.unwrap();
        // It hangs at keys in OpenSSH's own format, against any server.
        let key = home.path().join("guess");
        let made = Command::new(program("ssh-keygen"))
            .args(["-q", "-t", "rsa", "-m", "PEM", "-b", "2048", "-N", "", "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
        // One is as wrong as many.
        let list = home.write("guesses", &format!("{}\n", key.display()).repeat(10_000));
        let mut child = hydra(home, detour.address())
            .args(["-V", "-P"])
            .arg(list)
            .arg("sshkey://127.0.0.1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let (tried, found) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let output = BufReader::new(child.stdout.take().unwrap());
        let (counting, finding) = (tried.clone(), found.clone());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if line.starts_with("[ATTEMPT]") {
                    counting.fetch_add(1, Ordering::Relaxed);
                } else if line.contains("login: first") {
                    finding.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { child, tried, found, _detour: detour }
    }
}

/// hydra with the words that every run of it has; its lines come when they are written.
fn hydra(home: &Home, at: SocketAddr) -> Command {
    let mut hydra = Command::new("stdbuf");
    hydra.arg("-oL").arg(program("hydra")).args(["-I", "-t", "16", "-l", "first"]);
    hydra.args(["-s", &at.port().to_string()]).current_dir(home.path()).stdin(Stdio::null());
    hydra
}

impl Hydra {
    /// Tells it and its workers.
    fn signal(&self, signal: Signal) {
        killpg(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Hydra {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Both attackers at work.
struct Attackers {
    hydra: Hydra,
    engine: Attack,
}

impl Attackers {
    async fn begin(home: &Home, site: SocketAddr) -> Self {
        let plan = AttackPlan { from: ATTACKER, to: site, user: "first".to_owned(), at_once: 16 };
        Self { hydra: Hydra::begin(home, site).await, engine: Attack::begin(&plan).unwrap() }
    }

    /// How often they tried.
    fn tried(&self) -> [u64; 2] {
        [self.hydra.tried.load(Ordering::Relaxed), self.engine.refused()]
    }

    /// Waits until they have been refused so often.
    async fn have_tried(&self, times: u64) {
        let start = Instant::now();
        while self.tried().iter().sum::<u64>() < times {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "the attackers do not come far: {:?}",
                self.tried()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn pause(&self, pause: bool) {
        let signal = if pause { Signal::SIGSTOP } else { Signal::SIGCONT };
        self.hydra.signal(signal);
        self.engine.pause(pause);
    }
}

/// A login with ssh; how long it took.
fn log_in(home: &Home, key: &Path, port: u16, from: &str) -> Duration {
    let start = Instant::now();
    let output = home.ssh_command(key, port, &["-b", from, "first@127.0.0.1", "echo in"]).output().unwrap();
    let took = start.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "in\n", "from {from} after {took:?}: {said}");
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn started() -> (Home, crate::support::Server, SocketAddr, PathBuf) {
    let home = Home::new();
    let server = up(&home);
    let site = SocketAddr::from((Ipv4Addr::LOCALHOST, port_of(&server.announced["ssh"])));
    let key = home.path().join(".ssh/id_ed25519");
    (home, server, site, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_keys_is_slowed_and_others_log_in_as_if_nothing_were() {
    let (home, _server, site, key) = started();
    let login = || tokio::task::block_in_place(|| log_in(&home, &key, site.port(), "127.0.0.3"));
    login();
    let guesses = home.write("passwords", "secret\n");
    let output = hydra(&home, site).arg("-P").arg(guesses).arg("ssh://127.0.0.1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("does not support password authentication"), "{said}");
    let attackers = Attackers::begin(&home, site).await;
    // Past what costs nothing, up to where each refusal takes its longest.
    attackers.have_tried(60).await;
    let (begin, before) = (Instant::now(), attackers.tried());
    let (mut quiet, mut attacked) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        attackers.pause(true);
        quiet.push(login());
        attackers.pause(false);
        // They are at it again.
        attackers.have_tried(attackers.tried().iter().sum::<u64>() + 1).await;
        attacked.push(login());
    }
    let (took, after) = (begin.elapsed(), attackers.tried());
    let rates = [0, 1].map(|who| (after[who] - before[who]) as f64 / took.as_secs_f64());
    let (quiet, attacked) = (median(quiet), median(attacked));
    eprintln!(
        "guesses a second: hydra {:.1}, our engine {:.1}; a login elsewhere: {quiet:?} quiet, {attacked:?} attacked (medians of {TIMES})",
        rates[0], rates[1]
    );
    // 32 connections, five seconds for each refusal; without that it would be hundreds a second.
    assert!(rates.iter().all(|rate| *rate < 5.0), "{rates:?}");
    assert!(after[0] > before[0] && after[1] > before[1], "one of them gave up: {before:?} {after:?}");
    assert_eq!(attackers.hydra.found.load(Ordering::Relaxed), 0);
    assert!(attacked <= quiet.mul_f64(1.2) + NOISE, "{quiet:?} {attacked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_gets_in_from_the_address_of_those_who_guess() {
    let (home, _server, site, key) = started();
    let login = || tokio::task::block_in_place(|| log_in(&home, &key, site.port(), "127.0.0.2"));
    let quiet = login();
    let attackers = Attackers::begin(&home, site).await;
    // The address has been let in lately, so that it has ten times the room: that is used up, too.
    attackers.have_tried(280).await;
    let mut times: Vec<_> = (0..TIMES).map(|_| login()).collect();
    times.sort();
    let (middle, longest) = (times[TIMES / 2], times[TIMES - 1]);
    eprintln!(
        "a login from the attackers' address: {quiet:?} quiet, {middle:?} attacked (median), {longest:?} (longest)"
    );
    assert!(longest < Duration::from_secs(10), "{times:?}");
}
