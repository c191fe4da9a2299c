//! Every tool rides, whatever else stands in the configuration.

use hop_e2e::lab::{Codes, Door};
use hop_e2e::{Lab, program};

use crate::person::Person;

/// What somebody has after some years: defaults, masters of their own, `Match` in each form, an `Include`, names that are
/// made canonical, hosts that have nothing to do with it.
const CONFIG: &str = r#"# My hosts. Last tidied up: never.
Include conf.d/*.conf

Host *
    ServerAliveInterval 120
    ServerAliveCountMax 3
    HashKnownHosts no
    SendEnv LANG LC_*
    ForwardAgent no
    Compression no
    VisualHostKey no
    AddKeysToAgent no

CanonicalizeHostname yes
CanonicalDomains lab.example
CanonicalizeMaxDots 0
CanonicalizeFallbackLocal yes

Host github.com gitlab.com
    User git
    IdentitiesOnly yes
    IdentityFile ~/.ssh/id_git

Match host *.old.example user root
    HostKeyAlgorithms +ssh-rsa
    PubkeyAcceptedAlgorithms +ssh-rsa

Match exec "test -e /run/vpn-is-up"
    ProxyJump none

Host bastion
    HostName 10.77.1.1
    IdentityFile ~/.ssh/id_ed25519

Host cluster cluster-data
    HostName 10.77.2.2
    ProxyJump bastion

Host *.lab.example
    User alice

# From a talk that I once heard.
Host *
    ControlMaster auto
    ControlPath ~/.ssh/cm-%r@%h:%p
    ControlPersist 4h

Match originalhost desktop
    ProxyCommand nc -X 5 -x localhost:1080 %h %p

Host desktop
    HostName desktop.uni.example
    LocalForward 8888 localhost:8888

Match final host 10.77.2.2
    RequestTTY auto
    LogLevel INFO

Match all
    PreferredAuthentications publickey,keyboard-interactive
    NumberOfPasswordPrompts 3
"#;

const INCLUDED: &str = "Host *.cloud.example\n    User ubuntu\n    StrictHostKeyChecking accept-new\n";

#[test]
fn one_code_serves_every_tool_in_a_grown_configuration() {
    let lab = Lab::start(Codes::Strict);
    for needed in ["scp", "sftp", "rsync", "git", "sshfs", "vim"] {
        let _ = program::program(needed);
    }
    let person = Person::new(&lab, CONFIG);
    person.shell("mkdir -p .ssh/conf.d");
    lab.client.write(".ssh/conf.d/cloud.conf", INCLUDED);
    // The person may mount, as on a workstation.
    lab.client.root("mknod -m 666 /run/fuse c 10 229 && mount --bind /run/fuse /dev/fuse");
    person.enable(&["bastion", "cluster"]);
    person.log_in("cluster");
    lab.client.write("file", "content\n");
    for line in [
        "[ \"$(ssh cluster hostname)\" = cluster ]",
        "[ \"$(ssh bastion hostname)\" = bastion ]",
        "ssh -T alice@cluster true && ssh -p 22 -l alice cluster true && ssh -v cluster true 2>/dev/null",
        "scp -q file cluster:by-scp && scp -q cluster:by-scp back && cmp file back",
        "scp -O -q file cluster:by-old-scp && ssh cluster cat by-old-scp | cmp - file",
        "echo 'put file by-sftp' | sftp -q -b - cluster && ssh cluster cat by-sftp | cmp - file",
        "rsync -a file cluster:by-rsync && rsync -a cluster:by-rsync back && cmp file back",
        "git init -q work && cd work && git -c user.name=A -c user.email=a@b commit -q --allow-empty -m one && \
         ssh cluster git init -q --bare repository && git push -q cluster:repository HEAD:refs/heads/main && \
         git clone -q cluster:repository ../clone -b main && test -d ../clone/.git",
        "mkdir mounted && sshfs cluster: mounted && cmp file mounted/by-scp && cp file mounted/by-sshfs && \
         fusermount -u mounted && ssh cluster cat by-sshfs | cmp - file",
        "vim -N -u NONE -i NONE -n --not-a-term -c 'let g:netrw_silent = 1' -c 'runtime plugin/netrwPlugin.vim' \
         -c 'edit scp://cluster/by-scp' -c 's/content/edited/ | w' -c 'qall!' > /dev/null && \
         [ \"$(ssh cluster cat by-scp)\" = edited ]",
        "ssh -G cluster > /dev/null && ssh -O check cluster 2> /dev/null && ssh -V 2> /dev/null",
        // ssh opens a shell for -N where it rides, which ends with its input.
        "mkfifo hold; ssh -N -L 4000:127.0.0.1:22 cluster < hold & exec 4> hold; \
         until exec 3<>/dev/tcp/127.0.0.1/4000; do sleep 0.1; done 2>/dev/null; read -r -u 3 banner; \
         [[ $banner == SSH-2.0-* ]]; exec 3>&- 4>&-; wait",
        "for i in $(seq 20); do ssh cluster true & done; wait",
        "hop exec cluster -- true && hop ssh cluster true",
    ] {
        person.shell(&format!("set -e -o pipefail; {line}"));
        assert_eq!(person.logins(), (1, 1), "after {line}\n{}", lab.log(Door::Key));
    }
    // The other name of the same machine is not ours: it connects by itself, but the jump host is shared.
    person.shell("ssh -S none cluster-data true");
    assert_eq!(person.logins(), (1, 2));
}
