//! Real shells on pipes and terminals. Every wait is for an event: a line that the process prints, or its end.

use rustix::fs::{Mode, OFlags};

use super::*;
use crate::environment::{ClientEnvironment, SessionFacts, SiteEnvironment};
use crate::pty::WindowSize;
use crate::terminal_modes::TerminalModes;

fn account() -> Account {
    Account {
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        name: "tester".into(),
        home: "/usr".into(),
        shell: "/bin/sh".into(),
        has_passwd_entry: false,
    }
}

fn environment(account: &Account) -> Environment {
    let (site, client) = (SiteEnvironment::default(), ClientEnvironment::default());
    Environment::of_session(&SessionFacts {
        account,
        site: &site,
        client: &client,
        injected: &[],
        from_key: &[],
        addresses: None,
        terminal: None,
        agent_socket: None,
        display: None,
        original_command: None,
    })
}

fn piped(command: &str) -> PipedProcess {
    let account = account();
    start_piped(&account, Program::Command(command.as_bytes()), &environment(&account)).unwrap()
}

fn on_terminal(command: &str) -> TerminalProcess {
    let account = account();
    let size = WindowSize { columns: 101, rows: 37, width: 0, height: 0 };
    // OPOST (70) off, so that lines come back as they were written.
    let pty = Pty::open(size, &TerminalModes::parse(b"\x46\0\0\0\0\0")).unwrap();
    start_on_terminal(&account, Program::Command(command.as_bytes()), &environment(&account), pty).unwrap()
}

async fn read_all(descriptor: &Descriptor) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match descriptor.read(&mut buffer).await.unwrap() {
            0 => return String::from_utf8(all).unwrap(),
            read => all.extend_from_slice(&buffer[..read]),
        }
    }
}

/// Reads until `line` has come.
async fn read_line(descriptor: &Descriptor, line: &str) {
    let mut all = Vec::new();
    let mut buffer = [0; 256];
    while !String::from_utf8_lossy(&all).contains(line) {
        let read = descriptor.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "ended before {line:?}: {}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&buffer[..read]);
    }
}

async fn run(command: &str) -> (String, String, Ending) {
    let mut process = piped(command);
    drop(process.stdin);
    let (output, errors) = tokio::join!(read_all(&process.stdout), read_all(&process.stderr));
    (output, errors, process.child.ended().await.unwrap())
}

fn exists(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_command_has_output_errors_and_status() {
    let (output, errors, ending) = run("printf out; printf err >&2; exit 7").await;
    assert_eq!((output.as_str(), errors.as_str(), ending), ("out", "err", Ending::Exited(7)));
}

#[tokio::test]
async fn signals_end_with_their_name() {
    for (name, signal) in [("TERM", "TERM"), ("KILL", "KILL"), ("USR1", "USR1"), ("BUS", "BUS@grasshopper")] {
        let (_, _, ending) = run(&format!("ulimit -c 0; kill -{name} $$")).await;
        assert_eq!(ending, Ending::Signalled { signal, core_dumped: false });
    }
}

#[tokio::test]
async fn input_is_read_and_its_end_seen() {
    let mut process = piped("cat; echo end");
    process.stdin.write_all(b"hello ").await.unwrap();
    drop(process.stdin);
    assert_eq!(read_all(&process.stdout).await, "hello end\n");
    assert_eq!(process.child.ended().await.unwrap(), Ending::Exited(0));
}

#[tokio::test]
async fn a_login_shell_is_called_one() {
    let mut account = account();
    account.home = "/nonexistent/home".into();
    let process = start_piped(&account, Program::LoginShell, &environment(&account)).unwrap();
    assert!(process.notice.unwrap().contains("/nonexistent/home"));
    process.stdin.write_all(b"echo $0; pwd; echo $HOME\n").await.unwrap();
    drop(process.stdin);
    assert_eq!(read_all(&process.stdout).await, "-sh\n/\n/nonexistent/home\n");
}

#[tokio::test]
async fn it_leads_its_own_session_at_home_with_nothing_of_ours() {
    // Left without close-on-exec, as something that was inherited would be.
    let leaked = rustix::fs::open("/", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let (output, _, _) =
        run("pwd; ps -o pid=,pgid=,sid= -p $$ | { read p g s; [ $p = $g ] && [ $g = $s ] && echo own; }
             ls /proc/$$/fd; exec grep -E '^Sig(Blk|Ign)' /proc/self/status")
        .await;
    drop(leaked);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..5], ["/usr", "own", "0", "1", "2"]);
    let mask = |line: &str| u64::from_str_radix(line.split_once('\t').unwrap().1, 16).unwrap();
    assert_eq!(mask(lines[5]), 0, "no signal is blocked");
    // 32 and 33 belong to the C library, which leaves them ignored.
    assert_eq!(mask(lines[6]) & !(0b11 << 31), 0, "no signal is ignored");
}

#[tokio::test]
async fn our_limit_on_open_files_is_not_theirs() {
    use rustix::process::{Resource, getrlimit};
    let before = getrlimit(Resource::Nofile).current.unwrap();
    open_files::raise();
    let (output, _, _) = run("ulimit -Sn").await;
    assert_eq!(output.trim().parse::<u64>().unwrap(), before);
    assert_eq!(getrlimit(Resource::Nofile).current, getrlimit(Resource::Nofile).maximum);
}

#[tokio::test]
async fn bulk_output_arrives_whole() {
    let mut process = piped("head -c 20000000 /dev/zero");
    let mut total = 0;
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match process.stdout.read(&mut buffer).await.unwrap() {
            0 => break,
            read => total += read,
        }
    }
    assert_eq!(total, 20_000_000);
    assert_eq!(process.child.ended().await.unwrap(), Ending::Exited(0));
}

#[tokio::test]
async fn output_of_a_background_child_is_part_of_the_session() {
    let mut process = piped("exec 3<&0; { read line <&3; echo late; } & echo first; exit 3");
    assert_eq!(process.child.ended().await.unwrap(), Ending::Exited(3));
    read_line(&process.stdout, "first\n").await;
    drop(process.stdin);
    assert_eq!(read_all(&process.stdout).await, "late\n");
}

#[tokio::test]
async fn signals_reach_the_whole_group() {
    let mut process = piped("trap 'echo caught; exit 5' USR1; echo ready; while :; do read line; done");
    read_line(&process.stdout, "ready").await;
    process.child.signal(Signal::USR1).unwrap();
    assert_eq!(read_all(&process.stdout).await, "caught\n");
    assert_eq!(process.child.ended().await.unwrap(), Ending::Exited(5));
    process.child.signal(Signal::USR1).unwrap();
}

#[tokio::test]
async fn a_command_with_nul_and_a_missing_shell_are_refused() {
    let mut account = account();
    let environment = environment(&account);
    let error = start_piped(&account, Program::Command(b"a\0b"), &environment).unwrap_err();
    assert!(matches!(error, StartError::NulInCommand), "{error}");
    account.shell = "/nonexistent/shell".into();
    let error = start_piped(&account, Program::LoginShell, &environment).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/shell"), "{error}");
}

#[tokio::test]
async fn hanging_up_ends_it_and_leaves_no_zombie() {
    let process = piped("echo ready; sleep 1000");
    read_line(&process.stdout, "ready").await;
    let pid = process.child.pid();
    process.child.hang_up(Duration::from_secs(60)).await;
    assert!(!exists(pid));
    assert_eq!(read_all(&process.stdout).await, "", "the sleep of the same group is gone, too");
}

#[tokio::test]
async fn a_stopped_process_is_woken_to_hang_up() {
    let mut process = piped("echo ready; kill -STOP $$; echo woken");
    read_line(&process.stdout, "ready").await;
    let patience = Duration::from_secs(60);
    assert!(tokio::time::timeout(Duration::from_millis(50), process.child.ended()).await.is_err());
    process.child.hang_up(patience).await;
    assert_eq!(read_all(&process.stdout).await, "");
}

#[tokio::test]
async fn who_catches_the_hang_up_and_stays_is_killed() {
    let process = piped("trap : HUP; echo ready; while :; do read line; done");
    read_line(&process.stdout, "ready").await;
    let pid = process.child.pid();
    process.child.hang_up(Duration::from_millis(100)).await;
    assert!(!exists(pid));
}

#[tokio::test]
async fn who_ignores_the_hang_up_stays_and_is_collected_later() {
    let process = piped("trap '' HUP; echo ready; read line; echo still here");
    read_line(&process.stdout, "ready").await;
    process.child.hang_up(Duration::from_millis(100)).await;
    drop(process.stdin);
    assert_eq!(read_all(&process.stdout).await, "still here\n");
}

#[tokio::test]
async fn dropping_hangs_up_what_runs() {
    let process = piped("echo ready; sleep 1000");
    read_line(&process.stdout, "ready").await;
    drop(process.child);
    assert_eq!(read_all(&process.stdout).await, "");
}

#[tokio::test]
async fn dropping_after_the_end_leaves_background_children_alone() {
    let mut process = piped("exec 3<&0; { read line <&3; echo alive; } & exit 0");
    process.child.ended().await.unwrap();
    let pid = process.child.pid();
    drop(process.child);
    assert!(!exists(pid));
    drop(process.stdin);
    assert_eq!(read_all(&process.stdout).await, "alive\n");
}

#[tokio::test]
async fn the_end_is_seen_without_pidfd() {
    let process = piped("read line; exit 9");
    let mut watch = Watch::with_thread(process.child.pid).unwrap();
    drop(process.stdin);
    assert_eq!(watch.wait(process.child.pid).await.unwrap(), Ending::Exited(9));
    assert_eq!(watch.wait(process.child.pid).await.unwrap(), Ending::Exited(9));
}

#[tokio::test]
async fn a_terminal_controls_its_process() {
    let mut process = on_terminal("tty; stty size; ps -o tty= -p $$; ls /proc/$$/fd; exit 4");
    let output = read_all(process.master.descriptor()).await;
    let device = process.master.device().to_str().unwrap();
    let short = device.trim_start_matches("/dev/");
    let lines: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(lines, [device, "37", "101", short, "0", "1", "2"]);
    assert_eq!(process.child.ended().await.unwrap(), Ending::Exited(4));
}

#[tokio::test]
async fn keys_and_sizes_become_signals() {
    let mut process = on_terminal("trap 'stty size' WINCH; echo ready; while :; do read line; done");
    let master = process.master.descriptor();
    read_line(master, "ready").await;
    process.master.resize(WindowSize { columns: 55, rows: 44, width: 0, height: 0 }).unwrap();
    // dash runs a trap once its read returns.
    master.write_all(b"\n").await.unwrap();
    read_line(master, "44 55").await;
    master.write_all(b"\x03").await.unwrap();
    let interrupted = Ending::Signalled { signal: "INT", core_dumped: false };
    assert_eq!(process.child.ended().await.unwrap(), interrupted);
}

#[tokio::test]
async fn a_break_interrupts_where_the_modes_say_so() {
    let mut process = on_terminal("stty brkint; echo ready; while :; do read line; done");
    read_line(process.master.descriptor(), "ready").await;
    process.master.send_break().unwrap();
    let interrupted = Ending::Signalled { signal: "INT", core_dumped: false };
    assert_eq!(process.child.ended().await.unwrap(), interrupted);
}

#[tokio::test]
async fn last_words_on_a_terminal_are_available_at_the_end_though_others_hold_it() {
    for _ in 0..20 {
        let mut process = on_terminal("trap '' HUP; sleep 1000 & printf 'last words'; echo $! >&2");
        process.child.ended().await.unwrap();
        let mut buffer = [0; 256];
        let mut all = Vec::new();
        while let Some(read) = process.master.descriptor().read_available(&mut buffer).unwrap() {
            assert_ne!(read, 0, "the background process holds the terminal");
            all.extend_from_slice(&buffer[..read]);
        }
        let all = String::from_utf8(all).unwrap();
        let background = all.strip_prefix("last words").unwrap().trim().parse().unwrap();
        kill_process(Pid::from_raw(background).unwrap(), Signal::KILL).unwrap();
    }
}

#[tokio::test]
async fn closing_the_terminal_hangs_up() {
    let mut process = on_terminal("echo ready; sleep 1000");
    read_line(process.master.descriptor(), "ready").await;
    drop(process.master);
    let hung_up = Ending::Signalled { signal: "HUP", core_dumped: false };
    assert_eq!(process.child.ended().await.unwrap(), hung_up);
}
