//! The socket inside a project that leads to the site.

use crate::site::{Site, folder, key, settings, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Connects to the door, says a word, and prints what comes back.
const KNOCK: &str = "python3 -c '
import socket
door = socket.socket(socket.AF_UNIX); door.connect(\"/run/grasshopper/gateway\")
try:
    door.sendall(b\"word\"); print(door.recv(100).decode(), end=\"\")
except OSError: pass
' 2>&1";

#[tokio::test]
async fn what_knocks_is_handed_over_with_the_name_of_its_project() {
    let site = Site::new().await;
    // Nobody holds the doors: the connection is closed at once.
    assert_eq!(site.run(&key(1), KNOCK).await, "");
    let mut former = site.environments.doors().await.unwrap();
    let mut doors = site.environments.doors().await.unwrap();
    assert!(soon(former.next()).await.unwrap().is_none(), "there is one holder, the last");
    for number in [1, 2, 1] {
        let answering = async {
            let (project, mut stream) = soon(doors.next()).await.unwrap().unwrap();
            let mut word = [0; 4];
            stream.read_exact(&mut word).await.unwrap();
            assert_eq!(&word, b"word");
            stream.write_all(format!("you are {project}").as_bytes()).await.unwrap();
        };
        let project = key(number);
        let (said, ()) = tokio::join!(site.run(&project, KNOCK), answering);
        assert_eq!(said, format!("you are {project}"));
    }
    drop(doors);
    // The keeper notices that they were let go of.
    assert_eq!(site.run(&key(1), KNOCK).await, "");
}

#[tokio::test]
async fn one_project_has_so_many_connections_and_the_others_theirs() {
    let site = Site::new().await;
    let mut doors = site.environments.doors().await.unwrap();
    let many = "python3 -c '
import socket
def closed(door):
    door.settimeout(0.5)
    try: return door.recv(1) == b\"\"
    except TimeoutError: return False
    except OSError: return True
opened = [socket.socket(socket.AF_UNIX) for _ in range(100)]
for door in opened: door.connect(\"/run/grasshopper/gateway\")
door = opened[99]; door.recv(1)
print(sum(closed(door) for door in reversed(opened[60:])))
' 2>&1";
    let mut taken = Vec::new();
    let taking = async {
        while taken.len() < 64 {
            let (project, stream) = soon(doors.next()).await.unwrap().unwrap();
            assert_eq!(project, key(1));
            taken.push(stream);
        }
        // The first of the other comes next: nothing more of this one was let through.
        soon(doors.next()).await.unwrap().unwrap()
    };
    let (site_key, other) = (key(1), key(2));
    let both = async {
        let said = site.run(&site_key, many).await;
        let knocked = tokio::spawn({
            let environments = site.environments.clone();
            async move { crate::site::run(environments.enter(&other).await.unwrap(), KNOCK).await }
        });
        (said, knocked)
    };
    let ((said, knocked), (project, stream)) = tokio::join!(both, taking);
    assert_eq!(said, "36\n");
    assert_eq!(project, key(2));
    drop(stream);
    knocked.await.unwrap();
}

#[tokio::test]
async fn ssh_inside_knows_the_way_and_the_gateways_keys() {
    let folder = folder();
    let mut settings = settings(folder.path()).await;
    let blob = "AAAAC3NzaC1lZDI1NTE5AAAAIDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEy";
    settings.gateway_host_keys = vec![format!("ssh-ed25519 {blob} site")];
    let site = Site::serve(folder, settings);
    let said = site.run(&key(1), "ssh -G other@ssh").await;
    for line in [
        "user other",
        "proxycommand /run/grasshopper/hop door",
        "proxyusefdpass yes",
        "hostkeyalias gateway.grasshopper",
        "stricthostkeychecking true",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    let said = site.run(&key(1), "ssh-keygen -F gateway.grasshopper -f /etc/ssh/ssh_known_hosts").await;
    assert!(said.contains(blob), "{said}");
    let said = site.run(&key(1), "ssh -G elsewhere").await;
    assert!(!said.contains("hop door") && said.contains("sendenv LANG"), "{said}");
}

#[tokio::test]
async fn the_doors_end_with_the_keeper() {
    let mut site = Site::new().await;
    let mut doors = site.environments.doors().await.unwrap();
    site.end().await;
    assert!(soon(doors.next()).await.unwrap().is_none());
}
