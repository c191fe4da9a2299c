//! AiiDA works on a cluster behind two factors, with one login for all that its daemon does.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use hop_e2e::Lab;
use hop_e2e::lab::{Codes, Door};
use hop_e2e::{program, server};

const CONFIG: &str =
    "Host bastion\n  HostName 10.77.1.1\nHost cluster\n  HostName 10.77.2.2\n  ProxyJump bastion\n";

/// The person's programs at the client.
struct Person<'l> {
    lab: &'l Lab,
    python: String,
    script: String,
}

impl<'l> Person<'l> {
    fn new(lab: &'l Lab) -> Self {
        lab.client.write(".ssh/config", CONFIG);
        let hop = lab.client.share(server::hop_binary(), "hop");
        let environment = program::aiida_python();
        let environment = environment.ancestors().nth(2).unwrap();
        let python = format!("{}/bin/python", lab.client.share(environment, "aiida"));
        let script =
            lab.client.share(&program::scripts_folder().join("aiida/calculations.py"), "calculations.py");
        let person = Self { lab, python, script };
        person.install("hop", &format!("exec {hop} \"$@\""));
        person.install("verdi", &format!("exec {} -m aiida \"$@\"", person.python));
        person
    }

    fn install(&self, name: &str, line: &str) {
        std::fs::create_dir_all(self.lab.client.home().join("bin")).unwrap();
        self.lab.client.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{line}\n"));
        let path = self.lab.client.home().join("bin").join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, words: &[&str], input: &str) -> String {
        let path = "PATH=/home/alice/bin:/usr/local/bin:/usr/bin:/bin";
        let mut all = vec!["env", path, "AIIDA_PATH=/home/alice/aiida"];
        all.extend(words);
        let mut child = self
            .lab
            .person(&all)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{words:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Types the code when it is asked for.
    fn log_in(&self) {
        let script = format!(
            "set timeout 60\nspawn hop login cluster\nexpect \"Verification code:\"\nsend \"{}\\r\"\nexpect eof\n\
             exit [lindex [wait] 3]\n",
            self.lab.code()
        );
        self.lab.client.write("login.exp", &script);
        self.run(&["expect", "login.exp"], "");
    }

    /// A step of the work with AiiDA; what it printed.
    fn aiida(&self, words: &[&str]) -> String {
        let mut all = vec![self.python.as_str(), self.script.as_str()];
        all.extend(words);
        self.run(&all, "")
    }
}

/// What the cluster logs for each command.
const COMMAND: &str = "Starting session: command";

/// Returns when the cluster has started so many.
fn wait_for_commands(lab: &Lab, count: usize) {
    let follow = ["-n", "+1", "-f"];
    let mut log = Command::new("tail")
        .args(follow)
        .arg(lab.log_file(Door::Key))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(log.stdout.take().unwrap()).lines().map_while(Result::ok);
    let started = lines.filter(|line| line.contains(COMMAND)).take(count).count();
    log.kill().unwrap();
    log.wait().unwrap();
    assert_eq!(started, count);
}

#[test]
fn twenty_calculations_on_one_code_also_when_the_master_is_killed() {
    let lab = Lab::start(Codes::Strict);
    let person = Person::new(&lab);
    let _ = program::program("expect");
    for host in ["bastion", "cluster"] {
        person.run(&["hop", "ssh-config", "enable", host, "--yes"], "");
    }
    person.log_in();
    let tested = person.aiida(&["prepare", "cluster"]);
    assert!(tested.contains("Success: all") && !tested.contains("FAILED"), "{tested}");
    let sums = |count: &str| -> Vec<u64> {
        serde_json::from_str(person.aiida(&["run", "cluster", count]).trim()).unwrap()
    };
    assert_eq!(sums("10"), (1000..1010).collect::<Vec<_>>());
    assert_eq!((lab.logins(Door::KeyAndCode), lab.logins(Door::Key)), (1, 1), "{}", lab.log(Door::Key));

    let commands = lab.log(Door::Key).matches(COMMAND).count();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| sums("10"));
        wait_for_commands(&lab, commands + 20);
        lab.client.root("pkill -KILL -f 'ssh.*ControlMaster=yes.* cluster$'");
        assert_eq!(second.join().unwrap(), (1000..1010).collect::<Vec<_>>());
    });
    // The way through the bastion was open yet: the new login took no code.
    assert_eq!((lab.logins(Door::KeyAndCode), lab.logins(Door::Key)), (1, 2), "{}", lab.log(Door::Key));
}
