//! Who gets which home and uid, and what is refused. By root with a range, by anybody else without.

use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use tempfile::TempDir;

const FIRST: u32 = 290_001;

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

fn range(last: u32) -> Option<RangeInclusive<u32>> {
    root().then_some(FIRST..=last)
}

struct Case {
    folder: TempDir,
    homes: Homes,
}

impl Case {
    fn new(last: u32) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let homes = Homes::open(&folder.path().join("projects"), range(last)).unwrap();
        Self { folder, homes }
    }

    fn path(&self, number: u8) -> PathBuf {
        self.folder.path().join("projects").join(key(number).as_str())
    }

    fn make(&self, number: u8) -> Result<Project, HomeError> {
        self.homes.find_or_make(&key(number))
    }
}

fn key(number: u8) -> ProjectKey {
    ProjectKey::parse(&format!("{number:032x}")).unwrap()
}

#[test]
fn a_home_is_made_once_and_its_owner_is_the_project() {
    let case = Case::new(FIRST + 9);
    for number in 1..=3 {
        let made = case.make(number).unwrap();
        let found = made.home.metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (made.run_as.uid, made.run_as.gid));
        assert_eq!(found.mode() & 0o7777, 0o700);
        assert!(!case.path(number).join(UNFINISHED).exists());
        if root() {
            assert_eq!(made.run_as.uid, FIRST + u32::from(number) - 1);
            assert_eq!(case.path(number).metadata().unwrap().mode() & 0o7777, 0o711);
        }
        std::fs::write(made.home.join("kept"), "kept").unwrap();
        assert_eq!(case.make(number).unwrap().run_as, made.run_as);
        assert!(made.home.join("kept").exists());
    }
}

#[test]
fn links_and_files_in_the_way_are_refused() {
    let case = Case::new(FIRST + 9);
    let elsewhere = case.folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    // The project's folder itself, its home, and a home that is a file.
    symlink(&elsewhere, case.path(1)).unwrap();
    case.make(2).unwrap();
    std::fs::remove_dir(case.path(2).join(HOME)).unwrap();
    symlink(&elsewhere, case.path(2).join(HOME)).unwrap();
    case.make(3).unwrap();
    std::fs::remove_dir(case.path(3).join(HOME)).unwrap();
    std::fs::write(case.path(3).join(HOME), "").unwrap();
    for number in 1..=3 {
        let error = case.make(number).unwrap_err();
        assert!(matches!(error, HomeError::NotADirectory { .. }), "{number}: {error}");
    }
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn a_folder_that_others_can_change_is_refused() {
    let case = Case::new(FIRST + 9);
    case.make(1).unwrap();
    std::fs::set_permissions(case.path(1), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(case.make(1), Err(HomeError::Writable { mode: 0o777, .. })));
    let projects = case.folder.path().join("projects");
    std::fs::set_permissions(&projects, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let error = Homes::open(&projects, range(FIRST + 9)).unwrap_err();
    assert!(matches!(error, HomeError::Writable { .. }), "{error}");
}

#[test]
fn a_home_that_was_never_finished_is_made_anew() {
    let case = Case::new(FIRST + 9);
    case.make(1).unwrap();
    std::fs::rename(case.path(1).join(HOME), case.path(1).join(UNFINISHED)).unwrap();
    case.make(1).unwrap();
    assert!(!case.path(1).join(UNFINISHED).exists());
}

/// The rest is about uids, which only root can give away; a user's only uid is tried in the first line.
#[test]
fn uids_are_given_out_once() {
    let chown = |path: &Path, uid: u32| std::os::unix::fs::chown(path, Some(uid), Some(uid));
    let case = Case::new(FIRST + 2);
    if !root() {
        assert_eq!(case.make(1).unwrap().run_as.uid, rustix::process::geteuid().as_raw());
        return assert!(chown(case.folder.path(), FIRST).is_err());
    }
    for number in 1..=3 {
        case.make(number).unwrap();
    }
    let error = case.make(4).unwrap_err();
    assert!(matches!(&error, HomeError::NoUid { .. }), "{error}");
    assert!(!case.path(4).join(HOME).exists());
    // One that is gone leaves its uid, but not while anything in its folder has it.
    std::fs::rename(case.path(2).join(HOME), case.path(2).join("old")).unwrap();
    assert!(matches!(case.make(4), Err(HomeError::NoUid { .. })));
    std::fs::remove_dir_all(case.path(2)).unwrap();
    assert_eq!(case.make(4).unwrap().run_as.uid, FIRST + 1);

    // Owners that no project may have.
    let home = case.path(1).join(HOME);
    for uid in [0, 1, FIRST - 1, FIRST + 3] {
        chown(&home, uid).unwrap();
        let error = case.make(1).unwrap_err();
        assert!(matches!(error, HomeError::Owner { owner, .. } if owner == uid), "{uid}: {error}");
    }
    // Two with one owner are not kept apart by it.
    chown(&home, FIRST + 2).unwrap();
    for number in [1, 3] {
        let error = case.make(number).unwrap_err();
        assert!(matches!(error, HomeError::Shared { .. }), "{number}: {error}");
    }
    // A folder of the site that a project owns.
    chown(&home, FIRST).unwrap();
    chown(&case.path(1), FIRST).unwrap();
    assert!(matches!(case.make(1), Err(HomeError::Owner { .. })));
}

#[test]
fn a_closed_folder_on_the_way_is_named() {
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let opened = Homes::open(&folder.path().join("projects"), range(FIRST));
    match opened {
        // A user's projects are that user.
        Ok(_) => assert!(!root()),
        Err(HomeError::Unreachable { closed, .. }) => {
            assert_eq!(closed, folder.path().canonicalize().unwrap());
        }
        Err(other) => panic!("{other}"),
    }
}
