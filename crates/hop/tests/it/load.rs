//! A site with much to do: fifty projects running, two thousand connections held, two hundred logins at once.

use crate::session::Session;
use crate::site::{UP, role};
use crate::support::{Home, port_of};
use hop_testkit::client::exit_status;
use hop_testkit::{Crowd, CrowdPlan, Share, memory};
use nix::unistd::Pid;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

const PROJECTS: usize = 50;
const HELD: usize = 2000;
/// Over so many of the projects.
const BUSY: usize = 20;
const AT_ONCE: usize = 200;
/// For each held connection in the site's process, with what the allocator keeps.
const PER_CONNECTION: u64 = 80 * 1024;

/// The memory of processes together.
fn share(processes: &[Pid]) -> Share {
    // One that has just ended has none.
    let shares = processes.iter().filter_map(|process| Share::of(process.as_raw().unsigned_abs()).ok());
    shares.fold(Share::default(), |sum, share| sum + share)
}

fn kib(bytes: u64, count: usize) -> u64 {
    bytes / 1024 / u64::try_from(count).unwrap()
}

/// Logs in and has a word said back.
async fn log_in_and_echo(address: SocketAddr, user: &str, key: &Path) -> Result<Duration, String> {
    let start = Instant::now();
    let client = hop_testkit::client::Client::log_in(address, user, key, Default::default()).await;
    let client = client.map_err(|error| error.to_string())?;
    let channel = client.exec("echo in").await.map_err(|error| error.to_string())?;
    let mut said = String::new();
    let mut output = channel.reader(hop_ssh::connection::Stream::Data);
    let (read, status) = tokio::join!(output.read_to_string(&mut said), exit_status(&channel));
    match (read, said.as_str(), status) {
        (Ok(_), "in\n", Some(0)) => Ok(start.elapsed()),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_projects_two_thousand_connections_and_two_hundred_logins_at_once() {
    let start = Instant::now();
    let phase = |what: &str| eprintln!("{:6.1} s: {what}", start.elapsed().as_secs_f64());
    let home = Home::new();
    // With the soft limit on open files that most systems have.
    let server = home.serve_by(&["prlimit", "--nofile=1024:"], &UP);
    let (site, keeper) = (role(&server, "site"), role(&server, "keeper"));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port_of(&server.announced["ssh"])));
    let key = home.path().join(".ssh/id_ed25519");
    let mut projects = Vec::new();
    for number in 0..PROJECTS {
        let words = ["admin", "project", "add", &format!("Project {number}"), "--owner", "admin"];
        let added = home.documents(&words);
        projects.push(added[0]["id"].as_str().unwrap().to_owned());
    }
    phase("the projects are made");

    let visit = CrowdPlan { address, users: &projects, key: &key, count: PROJECTS, at_once: PROJECTS };
    drop(Crowd::gather(visit).await.unwrap());
    phase("all fifty run");
    let running = crate::crashes::descendants(keeper);
    let (all, keepers) = (share(&running), share(&[keeper]));
    eprintln!(
        "an idle project: {} processes, {} KiB proportional, {} KiB private, {} KiB resident; \
         the keeper: {} KiB proportional, {} descriptors",
        running.len() / PROJECTS,
        kib(all.proportional, PROJECTS),
        kib(all.private, PROJECTS),
        kib(all.resident, PROJECTS),
        kib(keepers.proportional, 1),
        memory::descriptors(keeper.as_raw().unsigned_abs()).unwrap(),
    );
    assert!(crate::crashes::endpoints(keeper).len() >= PROJECTS);

    let before = share(&[site]);
    let users = projects.get(..BUSY).unwrap();
    let plan = CrowdPlan { address, users, key: &key, count: HELD, at_once: 32 };
    let began = Instant::now();
    let crowd = Crowd::gather(plan).await.unwrap();
    let took = began.elapsed();
    phase("two thousand are connected");
    let after = share(&[site]);
    let (private, resident) = (after.private - before.private, after.resident - before.resident);
    eprintln!(
        "{HELD} connections after {took:?}, {:.0} a second; the site for each: {} KiB private, {} KiB resident; \
         descriptors: {}",
        f64::from(u32::try_from(HELD).unwrap()) / took.as_secs_f64(),
        kib(private, HELD),
        kib(resident, HELD),
        memory::descriptors(site.as_raw().unsigned_abs()).unwrap(),
    );
    assert!(private / u64::try_from(HELD).unwrap() < PER_CONNECTION, "{before:?} {after:?}");

    // Beside them a person comes in, with ssh, and works.
    let began = Instant::now();
    let ssh = home.ssh_command(&key, address.port(), &[&format!("{}@127.0.0.1", projects[0])]);
    let (login, echoes) = tokio::task::spawn_blocking(move || {
        let mut session = Session::echoing(ssh);
        let login = began.elapsed();
        let mut echoes: Vec<_> = (0..20).map(|number| session.echo(&format!("word {number}"))).collect();
        echoes.sort();
        (login, echoes)
    })
    .await
    .unwrap();
    eprintln!(
        "meanwhile: a login takes {login:?}, an echo {:?} (median), {:?} (longest)",
        echoes[10], echoes[19]
    );
    assert!(
        login < Duration::from_secs(5) && echoes[10] < Duration::from_millis(200),
        "{login:?} {echoes:?}"
    );

    let mut logins = tokio::task::JoinSet::new();
    let began = Instant::now();
    for number in 0..AT_ONCE {
        let (user, key) = (projects[number % PROJECTS].clone(), key.clone());
        logins.spawn(async move { log_in_and_echo(address, &user, &key).await });
    }
    let mut times = Vec::new();
    while let Some(login) = logins.join_next().await {
        times.push(login.unwrap().unwrap_or_else(|error| panic!("one of {AT_ONCE} logins failed: {error}")));
    }
    times.sort();
    phase("two hundred logins were made");
    eprintln!(
        "{AT_ONCE} logins at once: all in after {:?}; median {:?}, longest {:?}",
        began.elapsed(),
        times[AT_ONCE / 2],
        times[AT_ONCE - 1]
    );
    assert_eq!(crowd.connected(), HELD, "some of those who were there are gone");
    drop(crowd);
    let gone = Instant::now();
    while !home.documents(&["admin", "session", "list"]).is_empty() {
        assert!(gone.elapsed() < Duration::from_secs(30), "sessions are left");
    }
    phase("all have left");
}
