//! A person at the lab's client: programs in `~/bin`, an ssh configuration, a code typed when it is asked for.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use hop_e2e::lab::{Door, Lab};
use hop_e2e::{program, server};

/// A bastion that asks for codes, and a cluster behind it.
pub(crate) const CONFIG: &str =
    "Host bastion\n  HostName 10.77.1.1\nHost cluster\n  HostName 10.77.2.2\n  ProxyJump bastion\n";

/// Where the person's programs are looked for.
const PATH: &str = "PATH=/home/alice/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// Whoever sits there.
pub(crate) struct Person<'l> {
    pub(crate) lab: &'l Lab,
}

impl<'l> Person<'l> {
    /// With `hop` in the `PATH` and this ssh configuration.
    pub(crate) fn new(lab: &'l Lab, config: &str) -> Self {
        let _ = program::program("expect");
        lab.client.write(".ssh/config", config);
        let hop = lab.client.share(server::hop_binary(), "hop");
        let person = Self { lab };
        person.install("hop", &format!("exec {hop} \"$@\""));
        person
    }

    /// Puts a script into `~/bin`.
    pub(crate) fn install(&self, name: &str, line: &str) {
        std::fs::create_dir_all(self.lab.client.home().join("bin")).unwrap();
        self.lab.client.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{line}\n"));
        let path = self.lab.client.home().join("bin").join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a program to its end, whatever that is.
    pub(crate) fn finish(&self, words: &[&str], input: &str) -> Output {
        // Without a terminal, whatever the test itself has.
        let mut all = vec!["setsid", "--wait", "env", PATH, "AIIDA_PATH=/home/alice/aiida"];
        all.extend(words);
        let mut child = self
            .lab
            .person(&all)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who ends without reading is judged by how it ended.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Runs a program to its good end; what it printed.
    pub(crate) fn run(&self, words: &[&str], input: &str) -> String {
        let output = self.finish(words, input);
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{words:?}: {}: {said}{complained}", output.status);
        said
    }

    /// Runs a line of the shell to its good end.
    pub(crate) fn shell(&self, line: &str) -> String {
        self.run(&["bash", "-c", line], "")
    }

    /// Lets ssh, scp and the like share these hosts' logins.
    pub(crate) fn enable(&self, hosts: &[&str]) {
        for host in hosts {
            self.run(&["hop", "ssh-config", "enable", host, "--yes"], "");
        }
    }

    /// A dialogue in a terminal; `[code]` is the code that counts now.
    pub(crate) fn dialogue(&self, lines: &str) -> String {
        let script = format!(
            "set timeout 60\nproc code {{}} {{ return {} }}\nproc wants {{text}} {{\n  expect {{\n    $text {{}}\n    \
             timeout {{ puts \"\\nNOT SEEN: $text\"; exit 1 }}\n    eof {{ puts \"\\nENDED BEFORE: $text\"; exit 1 }}\n  }}\n}}\n\
             {lines}\n",
            self.lab.code()
        );
        self.lab.client.write("dialogue.exp", &script);
        self.run(&["expect", "dialogue.exp"], "")
    }

    /// Types the code when it is asked for.
    pub(crate) fn log_in(&self, host: &str) {
        self.dialogue(&format!(
            "spawn hop login {host}\nwants \"Verification code:\"\nsend \"[code]\\r\"\nexpect eof\nexit [lindex [wait] 3]"
        ));
    }

    /// What `hop status` says of a host.
    pub(crate) fn status(&self, host: &str) -> serde_json::Value {
        let all: serde_json::Value =
            serde_json::from_str(&self.run(&["hop", "status", "--json", host], "")).unwrap();
        all.pointer("/connections/0").cloned().unwrap_or_default()
    }

    /// How often bastion and cluster have let somebody in.
    pub(crate) fn logins(&self) -> (usize, usize) {
        (self.lab.logins(Door::KeyAndCode), self.lab.logins(Door::Key))
    }
}

/// For asserting.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
