//! The walls, attacked from inside; and the life of an environment.

use super::*;
use crate::sandbox::RunAs;
use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

/// Two projects of a site that has secrets.
struct Site {
    directory: TempDir,
    isolation: Isolation,
    mine: Project,
    other: Project,
}

fn run_as(offset: u32) -> RunAs {
    match rustix::process::geteuid().as_raw() {
        0 => RunAs { uid: 231_000 + offset, gid: 231_000 + offset },
        uid => RunAs { uid, gid: rustix::process::getegid().as_raw() },
    }
}

impl Site {
    async fn new() -> Self {
        let isolation = Isolation::detect(run_as(0)).await.expect("install the Debian package bubblewrap");
        let directory = TempDir::new().unwrap();
        // Projects must get to their homes.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let secrets = directory.path().join("site");
        std::fs::create_dir(&secrets).unwrap();
        std::fs::write(secrets.join("host_key"), "SITE SECRET").unwrap();
        std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(0o700)).unwrap();
        let project = |id: &str, offset| {
            let home = directory.path().join(id);
            std::fs::create_dir(&home).unwrap();
            std::fs::write(home.join("diary"), "PROJECT SECRET").unwrap();
            let run_as = run_as(offset);
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(&home, Some(run_as.uid), Some(run_as.gid)).unwrap();
                std::os::unix::fs::chown(home.join("diary"), Some(run_as.uid), Some(run_as.gid)).unwrap();
            }
            std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
            Project { id: id.to_owned(), user: "project".to_owned(), home, run_as }
        };
        let (mine, other) = (project("aaaaaaaaaaaa1111", 1), project("bbbbbbbbbbbb2222", 2));
        Self { mine, other, isolation, directory }
    }

    /// Runs a script inside the first project.
    async fn inside(&self, script: &str) -> Output {
        self.inside_with(script, Network::None, Limits::default()).await
    }

    async fn inside_with(&self, script: &str, network: Network, limits: Limits) -> Output {
        let etc = self.directory.path().join("etc");
        crate::made_etc::write(&etc, &self.mine, network).unwrap();
        let program: Vec<OsString> = ["/bin/sh", "-c", script].map(OsString::from).to_vec();
        let hop = Path::new("/bin/true");
        let mut command = self.isolation.command(&self.mine, &etc, hop, network, limits, &program).unwrap();
        tokio::time::timeout(Duration::from_secs(60), command.output())
            .await
            .expect("the script hangs")
            .unwrap()
    }

    /// What a script that must get nothing printed.
    async fn got(&self, script: &str) -> String {
        let output = self.inside(script).await;
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }
}

#[tokio::test]
async fn a_project_sees_itself() {
    let site = Site::new().await;
    let output =
        site.inside("id -un; id -u; pwd; cat diary; hostname; echo $HOME; ls /run/grasshopper").await;
    let expected = format!(
        "project\n{}\n/home/project\nPROJECT SECRETaaaaaaaaaaaa\n/home/project\nhop\n",
        site.mine.run_as.uid
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn the_hosts_and_the_sites_files_are_not_there() {
    let site = Site::new().await;
    for path in
        ["/etc/shadow", "/etc/ssh/ssh_host_ed25519_key", "/root", "/var", "/sys", "/boot", "/run/sshd"]
    {
        let said = site.got(&format!("ls {path}")).await;
        assert!(said.contains("No such file"), "{path}: {said}");
    }
    for directory in [site.directory.path().join("site"), site.other.home.clone(), site.mine.home.clone()] {
        let said = site.got(&format!("cat {0}/host_key {0}/diary", directory.display())).await;
        assert!(!said.contains("SECRET"), "{said}");
    }
    // Not by way of another process's root or descriptors either.
    let said = site.got("cat /proc/*/root/etc/shadow /proc/1/cwd/../site/host_key 2>&1").await;
    assert!(!said.contains("root:") && !said.contains("SECRET"), "{said}");
    let passwd = site.got("cut -d: -f1 /etc/passwd").await;
    assert_eq!(passwd, "project\nnobody\n");
}

#[tokio::test]
async fn other_processes_are_not_there() {
    let site = Site::new().await;
    let said = site.got("ls -d /proc/[0-9]* | wc -l; kill -0 1 && cat /proc/1/cmdline | tr '\\0' ' '").await;
    let count: usize = said.lines().next().unwrap().trim().parse().unwrap();
    assert!(count <= 6, "{said}");
    assert!(!said.contains("nextest"), "{said}");
}

#[tokio::test]
async fn nothing_of_the_network_is_reached() {
    let site = Site::new().await;
    // Stands for the portal, PostgreSQL, or another project on the host's loopback.
    let portal = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = portal.local_addr().unwrap().port();
    let connect =
        |host: &str, port: u16| format!("bash -c 'echo hello > /dev/tcp/{host}/{port}' && echo REACHED");
    for (host, port) in [("127.0.0.1", port), ("169.254.169.254", 80), ("10.0.0.1", 80)] {
        let said = site.got(&connect(host, port)).await;
        assert!(!said.contains("REACHED"), "{host}:{port}: {said}");
    }
    // The same words do reach it where the network was asked for: the test itself works.
    let output = site.inside_with(&connect("127.0.0.1", port), Network::Host, Limits::default()).await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("REACHED"));
    // And its own loopback is up.
    let own = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/9' 2>&1";
    assert!(site.got(own).await.contains("Connection refused"));
}

#[tokio::test]
async fn it_cannot_mount_make_devices_or_gain_rights() {
    let site = Site::new().await;
    for script in [
        "mount -t tmpfs none /tmp && echo DID",
        "mount --bind /proc /tmp && echo DID",
        "mknod /tmp/disk b 8 0 && echo DID",
        "unshare -Ur true && echo DID",
        "touch /usr/bin/x && echo DID",
        "touch /etc/x && echo DID",
        "setpriv --reuid=0 true && echo DID",
        "su -c true && echo DID",
        "chroot / true && echo DID",
        "hostname x && echo DID",
    ] {
        let said = site.got(script).await;
        assert!(!said.contains("DID"), "{script}: {said}");
    }
    let status = site.got("cat /proc/self/status").await;
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert!(
        status.contains("CapEff:\t0000000000000000") && status.contains("CapBnd:\t0000000000000000"),
        "{status}"
    );
}

#[tokio::test]
async fn fork_bombs_and_full_disks_stay_inside() {
    let site = Site::new().await;
    let limits = Limits { processes: 60, temporary: 1 << 20, open_files: 64, ..Limits::default() };
    let bomb = "i=0; while [ $i -lt 200 ]; do sleep 5 & i=$((i+1)); done; echo DONE";
    let output = site.inside_with(bomb, Network::None, limits).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("fork") || said.contains("Resource temporarily unavailable"), "{said}");
    for directory in ["/tmp", "/run"] {
        let script = format!("head -c 5000000 /dev/zero > {directory}/full; ls -l {directory}/full");
        let output = site.inside_with(&script, Network::None, limits).await;
        assert!(String::from_utf8_lossy(&output.stderr).contains("No space left"), "{directory}");
    }
    let output = site.inside_with("ulimit -n; ulimit -c", Network::None, limits).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "64\n0\n");
}

#[tokio::test]
async fn nothing_ever_runs_as_root() {
    let root = RunAs { uid: 0, gid: 0 };
    assert!(Isolation::detect(root).await.is_err());
    let project = Project { id: "p".to_owned(), user: "p".to_owned(), home: "/".into(), run_as: root };
    for isolation in [Isolation::Unsandboxed, Isolation::Sandbox { bwrap: "/usr/bin/bwrap".into() }] {
        let command = isolation.command(
            &project,
            Path::new("/etc"),
            Path::new("/bin/true"),
            Network::None,
            Limits::default(),
            &["/bin/true".into()],
        );
        assert!(command.is_err(), "{isolation:?}");
    }
}

/// A program in hop's place that says something to whoever connects.
fn fake_hop(site: &Site, script: &str) -> Settings {
    let hop = site.directory.path().join("fake-hop");
    std::fs::write(&hop, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&hop, std::fs::Permissions::from_mode(0o755)).unwrap();
    Settings {
        isolation: site.isolation.clone(),
        hop,
        runtime: site.directory.path().join("r"),
        network: Network::None,
        limits: Limits::default(),
    }
}

#[tokio::test]
async fn twenty_who_enter_a_stopped_project_start_it_once() {
    let site = Site::new().await;
    let settings = fake_hop(&site, "echo started >> ~/starts; sleep 60");
    let environments = Environments::new(settings);
    let entering: Vec<_> = (0..20)
        .map(|_| {
            let (environments, project) = (environments.clone(), site.mine.clone());
            tokio::spawn(async move { environments.enter(&project).await.map(drop) })
        })
        .collect();
    for entered in entering {
        entered.await.unwrap().unwrap();
    }
    assert!(environments.is_running(&site.mine.id).await);
    // Starting returns before the program in it has run.
    while !site.mine.home.join("starts").exists() {
        tokio::task::yield_now().await;
    }
    environments.stop(&site.mine.id, Duration::from_secs(5)).await;
    assert!(!environments.is_running(&site.mine.id).await);
    assert_eq!(std::fs::read_to_string(site.mine.home.join("starts")).unwrap(), "started\n");
    // Its home is kept, and it starts again.
    environments.enter(&site.mine).await.unwrap();
    assert!(environments.is_running(&site.mine.id).await);
}

#[tokio::test]
async fn one_that_died_is_started_again() {
    let site = Site::new().await;
    let environments = Environments::new(fake_hop(
        &site,
        "echo started >> ~/starts; until rm ~/die 2>/dev/null; do sleep 0.02; done",
    ));
    for _life in 0..2 {
        environments.enter(&site.mine).await.unwrap();
        std::fs::write(site.mine.home.join("die"), "").unwrap();
        while environments.is_running(&site.mine.id).await {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(std::fs::read_to_string(site.mine.home.join("starts")).unwrap(), "started\nstarted\n");
}
