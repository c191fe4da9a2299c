//! AiiDA works on a cluster behind two factors, with one login for all that its daemon does.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use hop_e2e::Lab;
use hop_e2e::lab::{Codes, Door};
use hop_e2e::program;

use crate::person::{CONFIG, Person};

/// The person's AiiDA.
struct Aiida<'l> {
    person: Person<'l>,
    python: String,
    script: String,
}

impl<'l> Aiida<'l> {
    fn new(lab: &'l Lab) -> Self {
        let person = Person::new(lab, CONFIG);
        let environment = program::aiida_python();
        let environment = environment.ancestors().nth(2).unwrap();
        let python = format!("{}/bin/python", lab.client.share(environment, "aiida"));
        let script =
            lab.client.share(&program::scripts_folder().join("aiida/calculations.py"), "calculations.py");
        person.install("verdi", &format!("exec {python} -m aiida \"$@\""));
        Self { person, python, script }
    }

    /// A step of the work with AiiDA; what it printed.
    fn step(&self, words: &[&str]) -> String {
        let mut all = vec![self.python.as_str(), self.script.as_str()];
        all.extend(words);
        self.person.run(&all, "")
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
    let aiida = Aiida::new(&lab);
    aiida.person.enable(&["bastion", "cluster"]);
    aiida.person.log_in("cluster");
    let tested = aiida.step(&["prepare", "cluster"]);
    assert!(tested.contains("Success: all") && !tested.contains("FAILED"), "{tested}");
    let sums = |count: &str| -> Vec<u64> {
        serde_json::from_str(aiida.step(&["run", "cluster", count]).trim()).unwrap()
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
