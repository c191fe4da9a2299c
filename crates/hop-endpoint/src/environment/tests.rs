//! Tables: what a client may set, and what a session ends up with.

use proptest::prelude::*;

use super::*;

#[test]
fn the_allow_list_decides_what_a_client_sets() {
    let cases = [
        ("LANG", "C.UTF-8", Ok(())),
        ("LC_ALL", "", Ok(())),
        ("GIT_PROTOCOL", "version=2", Ok(())),
        ("COLORTERM", "truecolor", Ok(())),
        ("NO_COLOR", "1", Ok(())),
        ("TERM_PROGRAM", "x", Ok(())),
        ("TERM_PROGRAM_VERSION", "3", Ok(())),
        ("LANG", "a\0b", Err(VariableRefused::Nul)),
        ("", "x", Err(VariableRefused::NotAllowed)),
        ("PATH", "/tmp", Err(VariableRefused::NotAllowed)),
        ("TERM", "xterm", Err(VariableRefused::NotAllowed)),
        ("LD_PRELOAD", "/tmp/x.so", Err(VariableRefused::NotAllowed)),
        ("BASH_ENV", "/tmp/x", Err(VariableRefused::NotAllowed)),
        ("LANGX", "x", Err(VariableRefused::NotAllowed)),
        ("lang", "x", Err(VariableRefused::NotAllowed)),
        ("LC_A=PATH", "x", Err(VariableRefused::NotAllowed)),
        ("LC_A\0", "x", Err(VariableRefused::NotAllowed)),
        ("SSH_AUTH_SOCK", "/x", Err(VariableRefused::NotAllowed)),
    ];
    for (name, value, verdict) in cases {
        let judged = ClientEnvironment::default().offer(name.as_bytes(), value.as_bytes());
        assert_eq!(judged, verdict, "{name}");
    }
    ClientEnvironment::default().offer(b"LC_MY_OWN", b"any \xff bytes").unwrap();
}

#[test]
fn a_client_cannot_send_without_bound() {
    let mut client = ClientEnvironment::default();
    for number in 0..MAX_CLIENT_VARIABLES {
        client.offer(format!("LC_{number}").as_bytes(), b"x").unwrap();
    }
    assert_eq!(client.offer(b"LC_MORE", b"x"), Err(VariableRefused::TooMuch));
    client.offer(b"LC_0", b"replacing is not more").unwrap();

    let mut client = ClientEnvironment::default();
    assert_eq!(client.offer(b"LANG", &vec![b'x'; MAX_CLIENT_BYTES]), Err(VariableRefused::TooMuch));
    client.offer(b"LANG", &vec![b'x'; MAX_CLIENT_BYTES - 4]).unwrap();
    assert_eq!(client.offer(b"LC_A", b""), Err(VariableRefused::TooMuch));
    client.offer(b"LANG", b"small").unwrap();
    client.offer(b"LC_A", b"").unwrap();
}

#[test]
fn path_keeps_only_absolute_entries() {
    let default = "/usr/local/bin:/usr/bin:/bin";
    let cases = [
        (None, false, default),
        (None, true, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        (Some(""), false, default),
        (Some(".:bin"), false, default),
        (Some("/opt/conda/bin:.::/usr/bin:bin"), true, "/opt/conda/bin:/usr/bin"),
        (Some("/a\0b:/c"), false, "/c"),
    ];
    for (wanted, root, path) in cases {
        assert_eq!(usable_path(wanted.map(str::as_bytes), root), path.as_bytes());
    }
}

fn account() -> Account {
    Account {
        uid: 1000,
        gid: 1000,
        name: "ada".into(),
        home: "/home/ada".into(),
        shell: "/bin/zsh".into(),
        has_passwd_entry: true,
    }
}

fn plain<'a>(
    account: &'a Account,
    site: &'a SiteEnvironment,
    client: &'a ClientEnvironment,
) -> SessionFacts<'a> {
    SessionFacts {
        account,
        site,
        client,
        injected: &[],
        from_key: &[],
        addresses: None,
        terminal: None,
        agent_socket: None,
        display: None,
        original_command: None,
    }
}

fn lines(environment: &Environment) -> Vec<String> {
    environment.to_strings().into_iter().map(|line| line.into_string().unwrap()).collect()
}

#[test]
fn a_plain_command_gets_the_account_and_nothing_of_this_process() {
    let (account, site, client) = (account(), SiteEnvironment::default(), ClientEnvironment::default());
    let made = Environment::of_session(&plain(&account, &site, &client));
    assert_eq!(
        lines(&made),
        ["HOME=/home/ada", "LOGNAME=ada", "PATH=/usr/local/bin:/usr/bin:/bin", "SHELL=/bin/zsh", "USER=ada"]
    );
}

#[test]
fn a_terminal_session_gets_everything() {
    let account = account();
    let site = SiteEnvironment {
        path: Some(b"/opt/conda/bin:/usr/bin".to_vec()),
        time_zone: Some(b"Europe/Zurich".to_vec()),
        lang: Some(b"C".to_vec()),
        variables: vec![("PROJECT".into(), b"p1".to_vec())],
    };
    let mut client = ClientEnvironment::default();
    client.offer(b"LANG", b"de_CH.UTF-8").unwrap();
    let facts = SessionFacts {
        addresses: Some(Addresses {
            client: "[::ffff:192.0.2.7]:50000".parse().unwrap(),
            server: "[2001:db8::1]:22".parse().unwrap(),
        }),
        terminal: Some(SessionTerminal { device: Path::new("/dev/pts/3"), term: b"xterm-256color" }),
        agent_socket: Some(Path::new("/tmp/hop-1/agent")),
        display: Some(SessionDisplay { display: "localhost:10.0", authority: Path::new("/tmp/hop-1/x10") }),
        original_command: Some(b"rsync --server"),
        ..plain(&account, &site, &client)
    };
    assert_eq!(
        lines(&Environment::of_session(&facts)),
        [
            "DISPLAY=localhost:10.0",
            "HOME=/home/ada",
            "LANG=de_CH.UTF-8",
            "LOGNAME=ada",
            "PATH=/opt/conda/bin:/usr/bin",
            "PROJECT=p1",
            "SHELL=/bin/zsh",
            "SSH_AUTH_SOCK=/tmp/hop-1/agent",
            "SSH_CLIENT=192.0.2.7 50000 22",
            "SSH_CONNECTION=192.0.2.7 50000 2001:db8::1 22",
            "SSH_ORIGINAL_COMMAND=rsync --server",
            "SSH_TTY=/dev/pts/3",
            "TERM=xterm-256color",
            "TZ=Europe/Zurich",
            "USER=ada",
            "XAUTHORITY=/tmp/hop-1/x10",
        ]
    );
}

#[test]
fn the_key_overrides_the_word_overrides_the_client_but_facts_stand() {
    let (account, site) = (account(), SiteEnvironment::default());
    let mut client = ClientEnvironment::default();
    client.offer(b"LANG", b"client").unwrap();
    client.offer(b"LC_TIME", b"client").unwrap();
    let injected: Vec<(String, Vec<u8>)> = vec![
        ("LC_TIME".into(), b"word".to_vec()),
        ("LC_NAME".into(), b"word".to_vec()),
        ("SSH_CONNECTION".into(), b"forged".to_vec()),
        ("BAD=NAME".into(), b"x".to_vec()),
        ("NUL".into(), b"a\0b".to_vec()),
    ];
    let from_key: Vec<(String, String)> = vec![
        ("LC_NAME".into(), "key".into()),
        ("PATH".into(), "/key".into()),
        ("SSH_ORIGINAL_COMMAND".into(), "forged".into()),
    ];
    let facts = SessionFacts { injected: &injected, from_key: &from_key, ..plain(&account, &site, &client) };
    let made = Environment::of_session(&facts);
    let cases: &[(&str, Option<&[u8]>)] = &[
        ("LANG", Some(b"client")),
        ("LC_TIME", Some(b"word")),
        ("LC_NAME", Some(b"key")),
        ("PATH", Some(b"/key")),
        ("SSH_CONNECTION", None),
        ("SSH_ORIGINAL_COMMAND", None),
        ("BAD", None),
        ("BAD=NAME", None),
        ("NUL", None),
    ];
    for (name, value) in cases {
        assert_eq!(made.value(name), *value, "{name}");
    }
}

proptest! {
    #[test]
    fn no_offer_makes_a_string_that_exec_cannot_take(name: Vec<u8>, value: Vec<u8>) {
        let mut client = ClientEnvironment::default();
        let taken = client.offer(&name, &value).is_ok();
        let (account, site) = (account(), SiteEnvironment::default());
        let made = Environment::of_session(&plain(&account, &site, &client));
        prop_assert_eq!(made.to_strings().len(), 5 + usize::from(taken));
    }
}
