use super::*;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

struct Files {
    folder: tempfile::TempDir,
    files: HostSettingsFiles,
}

fn files(person: &str, machine: &str) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        Some(path)
    };
    let files = HostSettingsFiles { person: write("person", person), machine: write("machine", machine) };
    Files { folder, files }
}

#[test]
fn the_hosts_own_section_counts_more_than_the_default_and_the_persons_more_than_the_machines() {
    let found = files(
        "[default]\nwhen_ready = true\n[host.saga]\nprogram = \"gsissh\"\nwhen_ready = false\nscript_timeout = 30\nwait = 5\n",
        "[default]\nprogram = \"/opt/ssh\"\n[host.\"saga.example.org\"]\nauthentication_script = \"/opt/fetch\"\n",
    );
    let saga = found.files.read(&["saga", "saga.example.org"]).unwrap();
    assert_eq!(saga.program.as_deref(), Some("gsissh"));
    assert_eq!(saga.authentication_script.as_deref(), Some(Path::new("/opt/fetch")));
    assert_eq!((saga.script_limit.as_secs(), saga.when_ready), (30, false));
    assert_eq!(saga.wait, Some(Duration::from_secs(5)));
    let other = found.files.read(&["other"]).unwrap();
    assert_eq!((other.program.as_deref(), other.when_ready), (Some("/opt/ssh"), true));
    assert_eq!(other.authentication_script, None);
    assert_eq!(HostSettingsFiles::default().read(&["saga"]).unwrap(), HostSettings::default());
}

#[test]
fn what_the_machine_forbids_is_forbidden() {
    let found = files(
        "[host.saga]\nmultiplex = \"allowed\"\ntotp = \"allowed\"\n[host.own]\ntotp = \"never\"\n",
        "[host.\"saga.example.org\"]\nmultiplex = \"never\"\n[default]\ntotp = \"never\"\n",
    );
    let machine = found.files.machine.clone().unwrap();
    let saga = found.files.read(&["saga", "saga.example.org"]).unwrap();
    assert_eq!((saga.multiplex, saga.totp), (Err(machine.clone()), Err(machine.clone())));
    assert_eq!(found.files.read(&["saga"]).unwrap().multiplex, Ok(()), "its address is not known yet");
    assert_eq!(found.files.read(&["own"]).unwrap().totp, Err(machine));
    // A person takes back what the same file says of all.
    let own = files("[default]\nmultiplex = \"never\"\n[host.saga]\nmultiplex = \"allowed\"\n", "");
    assert_eq!(own.files.read(&["saga"]).unwrap().multiplex, Ok(()));
    assert!(own.files.read(&["other"]).unwrap().multiplex.is_err());
}

#[test]
fn a_mistake_is_named_with_its_line() {
    for (text, line, words) in [
        ("[host.saga]\n\nmutliplex = \"never\"\n", 3, "unknown field `mutliplex`"),
        ("[hosts.saga]\n", 1, "unknown field `hosts`"),
        ("[host.saga]\nprogram = \"xssh\"\n", 2, "the program is"),
        ("[host.saga]\nauthentication_script = \"bin/x\"\n", 2, "absolute"),
        ("[host.saga]\nkerberos = \"ada\"\n", 2, "name@REALM"),
        ("[host.saga]\ntotp = true\n", 2, "wanted string"),
        ("[host.saga\n", 1, "unclosed table"),
    ] {
        let found = files(text, "");
        let error = found.files.read(&["other"]).unwrap_err();
        let said = error.to_string();
        let HostSettingsError::Malformed { line: found, .. } = error else { panic!("{said}") };
        assert_eq!(found, line, "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_file_that_others_can_write_is_not_used() {
    let found = files("", "");
    let person = found.files.person.clone().unwrap();
    std::fs::set_permissions(&person, std::fs::Permissions::from_mode(0o664)).unwrap();
    assert!(matches!(found.files.read(&["saga"]), Err(HostSettingsError::Unsafe { .. })));
    std::fs::remove_file(&person).unwrap();
    std::fs::create_dir(found.folder.path().join("person")).unwrap();
    assert!(matches!(found.files.read(&["saga"]), Err(HostSettingsError::Io { .. })));
}

proptest! {
    #[test]
    fn nothing_panics(text in "(\\[?[a-z.\"]{0,12}\\]?( = )?[a-z\"/ä0-9]{0,12}\n){0,8}") {
        let _ = Whole::parse(Path::new("x"), &text);
    }
}
