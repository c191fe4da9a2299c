//! On directories that look like a tree of control groups; the kernel's own files are never made by us, so each
//! that is written must be there.

use super::*;
use tempfile::TempDir;

fn file(directory: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join(name), text).unwrap();
}

fn read(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).unwrap()
}

fn tree(controllers: &str, switched_on: &str, processes: &str) -> TempDir {
    let tree = TempDir::new().unwrap();
    file(tree.path(), "cgroup.controllers", controllers);
    file(tree.path(), "cgroup.subtree_control", switched_on);
    file(tree.path(), "cgroup.procs", processes);
    file(&tree.path().join(OWN_LEAF), "cgroup.procs", "");
    tree
}

#[test]
fn our_own_group_is_found_below_the_mount() {
    let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                  30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
    let own = |groups: &str, mounts: &str| own(groups, mounts).map(|path| path.display().to_string());
    let unit = "12:pids:/x\n0::/system.slice/hop.service\n";
    assert_eq!(own(unit, mounts).unwrap(), "/sys/fs/cgroup/system.slice/hop.service");
    // In a container whose tree begins further down.
    let inner = "30 22 0:26 /system.slice /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    assert_eq!(own(unit, inner).unwrap(), "/sys/fs/cgroup/hop.service");
    assert_eq!(own("1:pids:/x\n", mounts), None);
    assert_eq!(own(unit, "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"), None);
    assert_eq!(own(unit, "nonsense\n"), None);
}

#[test]
fn a_tree_without_the_controllers_is_not_used() {
    let tree = tree("cpu memory", "", "");
    let why = ControlGroups::find(Some(tree.path())).unwrap_err();
    assert!(why.ends_with("the pids controller is not there"), "{why}");
    assert!(ControlGroups::find(Some(Path::new("/nonexistent"))).is_err());
}

#[test]
fn the_units_own_processes_go_into_a_leaf_before_controllers_are_switched_on() {
    let ready = tree("memory pids", "memory pids", "17\n");
    ControlGroups::find(Some(ready.path())).unwrap();
    assert_eq!(read(ready.path(), "cgroup.subtree_control"), "memory pids");
    let fresh = tree("cpu memory pids", "cpu", "17\n");
    ControlGroups::find(Some(fresh.path())).unwrap();
    assert_eq!(read(&fresh.path().join(OWN_LEAF), "cgroup.procs"), "17");
    assert!(read(fresh.path(), "cgroup.subtree_control").starts_with("+memory +pids"));
}

#[test]
fn a_projects_group_has_its_limits() {
    let tree = tree("memory pids", "memory pids", "");
    let groups = ControlGroups::find(Some(tree.path())).unwrap();
    let key = ProjectKey::parse(&"a".repeat(32)).unwrap();
    let group = groups.of(&key);
    let limits = Limits { processes: 77, memory: Some(1 << 30), ..Limits::default() };
    for name in ["cgroup.procs", "pids.max", "memory.max"] {
        assert!(groups.make(&key, limits).is_err(), "{name} is not there");
        file(&group, name, "");
    }
    assert_eq!(groups.make(&key, limits).unwrap(), group);
    assert_eq!((read(&group, "pids.max"), read(&group, "memory.max")), ("77".into(), "1073741824".into()));
}
