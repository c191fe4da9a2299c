//! Programs that move files over SSH: lftp, rclone, rsync, git, sshfs, vim.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hop_e2e::matrix::{Operation, record};
use hop_e2e::peer::Peer;
use hop_e2e::program::{program, scripts_folder};
use hop_e2e::{Run, Server};

use crate::expected::{Large, SmallTree};

// Each client in its own module, as the libraries have theirs.

mod lftp {
    use super::*;

    #[test]
    fn logs_in_with_an_allowed_key_only() {
        record(Peer::Lftp, Operation::Login, || {
            let server = Server::start();
            let _ = lftp(&server, "cls /").success();
            let refused = lftp_with(&server, &server.stranger_config(), "cls /").status(1);
            assert!(refused.stderr().contains("Permission denied"), "{refused}");
        });
    }

    #[test]
    fn uploads_64_mib_intact() {
        record(Peer::Lftp, Operation::Upload, || {
            let (server, large) = (Server::start(), Large::new());
            let put = format!("put {} -o {}", large.original.display(), large.copy.display());
            let _ = lftp(&server, &put).success();
            large.assert_copied();
        });
    }

    #[test]
    fn downloads_64_mib_intact() {
        record(Peer::Lftp, Operation::Download, || {
            let (server, large) = (Server::start(), Large::new());
            let get = format!("get {} -o {}", large.original.display(), large.copy.display());
            let _ = lftp(&server, &get).success();
            large.assert_copied();
        });
    }

    #[test]
    fn puts_renames_lists_and_gets() {
        record(Peer::Lftp, Operation::Sftp, || {
            let (server, tree) = (Server::start(), SmallTree::new());
            let folder = tree.folder.display();
            let script = format!(
                "cd {folder} && put {} -o first && mv first second && cls -1 && get second -o {}",
                tree.local.display(),
                tree.back.display(),
            );
            let listed = lftp(&server, &script).success().stdout();
            tree.assert_moved_and_back();
            SmallTree::assert_names(listed.lines());
        });
    }

    fn lftp(server: &Server, script: &str) -> Run {
        lftp_with(server, &server.ssh_config, script)
    }

    fn lftp_with(server: &Server, config: &Path, script: &str) -> Run {
        let connect = format!("{} -a -x -F {}", program("ssh").display(), config.display());
        let settings = "set cmd:fail-exit true; set net:max-retries 1; set sftp:auto-confirm no";
        let script =
            format!("{settings}; set sftp:connect-program '{connect}'; open sftp://hop; {script}; exit");
        let home = server.scratch().folder("lftp-home");
        Run::new(program("lftp")).args(["--norc", "-c", &script]).env("HOME", home)
    }
}

mod rclone {
    use super::*;

    #[test]
    fn logs_in_with_an_allowed_key_only() {
        record(Peer::Rclone, Operation::Login, || {
            let server = Server::start();
            let _ = rclone(&server, &server.user_key.private)
                .args(["lsf", "--max-depth", "1", "hop:/"])
                .success();
            let stranger = rclone(&server, &server.stranger.private);
            let refused = stranger.args(["lsf", "--max-depth", "1", "hop:/"]).status(1);
            assert!(refused.stderr().contains("unable to authenticate"), "{refused}");
        });
    }

    #[test]
    fn uploads_64_mib_intact() {
        record(Peer::Rclone, Operation::Upload, || {
            let (server, large) = (Server::start(), Large::new());
            let rclone = rclone(&server, &server.user_key.private).arg("copyto").arg(&large.original);
            let _ = rclone.arg(large.remote_copy()).success();
            large.assert_copied();
        });
    }

    #[test]
    fn downloads_64_mib_intact() {
        record(Peer::Rclone, Operation::Download, || {
            let (server, large) = (Server::start(), Large::new());
            let rclone = rclone(&server, &server.user_key.private).arg("copyto").arg(large.remote_original());
            let _ = rclone.arg(&large.copy).success();
            large.assert_copied();
        });
    }

    #[test]
    fn puts_renames_lists_and_gets() {
        record(Peer::Rclone, Operation::Sftp, || {
            let (server, tree) = (Server::start(), SmallTree::new());
            let on_server = |name: &str| format!("hop:{}/{name}", tree.folder.display());
            let run =
                |words: &[&str]| rclone(&server, &server.user_key.private).args(words).success().stdout();
            run(&["copyto", &tree.local.to_string_lossy(), &on_server("first")]);
            run(&["moveto", &on_server("first"), &on_server("second")]);
            let listed = run(&["lsf", &on_server("")]);
            run(&["copyto", &on_server("second"), &tree.back.to_string_lossy()]);
            tree.assert_moved_and_back();
            SmallTree::assert_names(listed.lines());
        });
    }

    fn rclone(server: &Server, key: &Path) -> Run {
        let home = server.scratch().folder("rclone-home");
        let config = format!(
            "[hop]\ntype = sftp\nhost = 127.0.0.1\nport = {}\nuser = {}\nkey_file = {}\nknown_hosts_file = {}\n",
            server.port(),
            server.user,
            key.display(),
            server.known_hosts.display(),
        );
        let config = server.scratch().write("rclone.conf", config);
        // One try: a refused login must not be repeated.
        Run::new(program("rclone"))
            .arg("--config")
            .arg(config)
            .args(["--retries", "1", "--low-level-retries", "1"])
            .env("HOME", home)
    }
}

mod rsync {
    use super::*;

    #[test]
    fn logs_in_with_an_allowed_key_only() {
        record(Peer::Rsync, Operation::Login, || {
            let server = Server::start();
            let resident = server.scratch().write("resident", "12345");
            let from = format!("hop:{}", resident.display());
            let _ = rsync(&server.ssh_config).arg(&from).arg(server.scratch().join("copied")).success();
            assert_eq!(std::fs::read(server.scratch().join("copied")).unwrap(), b"12345");
            let refused =
                rsync(&server.stranger_config()).arg(&from).arg(server.scratch().join("stolen")).finish();
            // Its exit status is ssh's or its own, whichever it notices first.
            assert!(refused.status != Some(0) && refused.stderr().contains("Permission denied"), "{refused}");
        });
    }

    #[test]
    fn uploads_64_mib_intact() {
        record(Peer::Rsync, Operation::Upload, || {
            let (server, large) = (Server::start(), Large::new());
            let _ = rsync(&server.ssh_config).arg(&large.original).arg(large.remote_copy()).success();
            large.assert_copied();
        });
    }

    #[test]
    fn downloads_64_mib_intact() {
        record(Peer::Rsync, Operation::Download, || {
            let (server, large) = (Server::start(), Large::new());
            let _ = rsync(&server.ssh_config).arg(large.remote_original()).arg(&large.copy).success();
            large.assert_copied();
        });
    }

    fn rsync(config: &Path) -> Run {
        Run::new(program("rsync")).args(["--archive", "--rsh"]).arg(ssh_command(config))
    }
}

mod git {
    use super::*;

    #[test]
    fn logs_in_with_an_allowed_key_only() {
        record(Peer::Git, Operation::Login, || {
            let (server, repository) = (Server::start(), repository());
            server.give(&repository.bare());
            let url = repository.bare_url();
            let _ =
                git(&server.ssh_config, repository.large.scratch.path()).args(["ls-remote", &url]).success();
            let stranger = git(&server.stranger_config(), repository.large.scratch.path());
            let refused = stranger.args(["ls-remote", &url]).status(128);
            assert!(refused.stderr().contains("Permission denied"), "{refused}");
        });
    }

    #[test]
    fn pushes_64_mib_intact() {
        record(Peer::Git, Operation::Upload, || {
            let (server, repository) = (Server::start(), repository());
            server.give(&repository.bare());
            repository.push(&server);
            // Read back without the server.
            let (clone, bare) = (repository.large.scratch.join("clone"), repository.bare());
            let _ = plain_git(repository.large.scratch.path()).arg("clone").arg(bare).arg(&clone).success();
            hop_e2e::payload::assert_same(&repository.large.original, &clone.join("original"));
        });
    }

    #[test]
    fn clones_64_mib_intact() {
        record(Peer::Git, Operation::Download, || {
            let (server, repository) = (Server::start(), repository());
            let work = repository.large.scratch.join("work");
            let _ = plain_git(&work).arg("push").arg(repository.bare()).arg("HEAD:main").success();
            server.give(&repository.bare());
            let clone = repository.large.scratch.join("clone");
            let git = git(&server.ssh_config, repository.large.scratch.path());
            let _ = git.args(["clone", "--branch", "main", &repository.bare_url()]).arg(&clone).success();
            hop_e2e::payload::assert_same(&repository.large.original, &clone.join("original"));
        });
    }

    /// A working tree with one commit that holds a large file, and an empty bare repository.
    struct Repository {
        large: Large,
    }

    fn repository() -> Repository {
        let large = Large::new();
        let folder = large.scratch.path();
        let work = large.scratch.folder("work");
        let _ = plain_git(folder)
            .args(["init", "--quiet", "--bare", "--initial-branch=main", "bare.git"])
            .success();
        let _ = plain_git(&work).args(["init", "--quiet", "--initial-branch=main"]).success();
        std::fs::hard_link(&large.original, work.join("original")).unwrap();
        let _ = plain_git(&work).args(["add", "original"]).success();
        let _ = plain_git(&work).args(["commit", "--quiet", "-m", "one large file"]).success();
        Repository { large }
    }

    impl Repository {
        fn bare(&self) -> PathBuf {
            self.large.scratch.join("bare.git")
        }

        fn bare_url(&self) -> String {
            format!("ssh://hop{}", self.bare().display())
        }

        fn push(&self, server: &Server) {
            let git = git(&server.ssh_config, &self.large.scratch.join("work"));
            let _ = git.args(["push", &self.bare_url(), "HEAD:main"]).success();
        }
    }

    fn git(config: &Path, folder: &Path) -> Run {
        plain_git(folder).env("GIT_SSH_COMMAND", ssh_command(config)).env("GIT_SSH_VARIANT", "ssh")
    }

    /// git with nothing of the person's own settings; random bytes are not worth compressing.
    fn plain_git(folder: &Path) -> Run {
        Run::new(program("git"))
            .args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "core.compression=0"])
            .env("GIT_CONFIG_GLOBAL", scripts_folder().join("gitconfig"))
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .current_dir(folder)
    }
}

mod sshfs {
    use super::*;

    #[test]
    fn logs_in_with_an_allowed_key_only() {
        record(Peer::Sshfs, Operation::Login, || {
            let (server, tree) = (Server::start(), SmallTree::new());
            let mount = Mount::new(&server, &tree.folder);
            assert_eq!(std::fs::read(mount.point.join("resident")).unwrap(), b"12345");
            drop(mount);
            let point = server.scratch().folder("refused");
            let refused = sshfs(&server.stranger_config(), &tree.folder, &point).status(1);
            assert!(
                refused.stderr().contains("Permission denied") || refused.stderr().contains("reset"),
                "{refused}"
            );
        });
    }

    #[test]
    fn uploads_64_mib_intact() {
        record(Peer::Sshfs, Operation::Upload, || {
            let (server, large) = (Server::start(), Large::new());
            let mount = Mount::new(&server, large.scratch.path());
            std::fs::copy(&large.original, mount.point.join("copy")).unwrap();
            drop(mount);
            large.assert_copied();
        });
    }

    #[test]
    fn downloads_64_mib_intact() {
        record(Peer::Sshfs, Operation::Download, || {
            let (server, large) = (Server::start(), Large::new());
            let mount = Mount::new(&server, large.scratch.path());
            std::fs::copy(mount.point.join("original"), &large.copy).unwrap();
            large.assert_copied();
        });
    }

    #[test]
    fn puts_renames_lists_and_gets() {
        record(Peer::Sshfs, Operation::Sftp, || {
            let (server, tree) = (Server::start(), SmallTree::new());
            let mount = Mount::new(&server, &tree.folder);
            let inside = |name: &str| mount.point.join(name);
            std::fs::copy(&tree.local, inside("first")).unwrap();
            std::fs::rename(inside("first"), inside("second")).unwrap();
            let listed = std::fs::read_dir(&mount.point).unwrap();
            let names: Vec<_> = listed.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            std::fs::copy(inside("second"), &tree.back).unwrap();
            tree.assert_moved_and_back();
            SmallTree::assert_names(names.iter().map(String::as_str));
        });
    }

    /// A mounted folder; unmounted on drop.
    struct Mount {
        point: PathBuf,
    }

    impl Mount {
        fn new(server: &Server, folder: &Path) -> Self {
            let point = server.scratch().folder("mount");
            let _ = sshfs(&server.ssh_config, folder, &point).success();
            Self { point }
        }
    }

    impl Drop for Mount {
        fn drop(&mut self) {
            let _ = Run::new("fusermount3").arg("-u").arg(&self.point).finish();
        }
    }

    fn sshfs(config: &Path, folder: &Path, point: &Path) -> Run {
        Run::new(program("sshfs")).arg("-F").arg(config).arg(format!("hop:{}", folder.display())).arg(point)
    }
}

mod vim {
    use super::*;

    #[test]
    fn logs_in_with_an_allowed_key_only() {
        record(Peer::Vim, Operation::Login, || {
            let (server, tree) = (Server::start(), SmallTree::new());
            let remote = tree.folder.join("resident");
            let seen = server.scratch().join("seen");
            vim(&server, &server.ssh_config, &remote, &format!("w {}", seen.display()));
            assert_eq!(std::fs::read(&seen).unwrap(), b"12345\n");
            let stolen = server.scratch().join("stolen");
            vim(&server, &server.stranger_config(), &remote, &format!("w {}", stolen.display()));
            assert_ne!(std::fs::read(&stolen).unwrap_or_default(), b"12345\n");
        });
    }

    #[test]
    fn edits_a_remote_file() {
        record(Peer::Vim, Operation::Edit, || {
            let (server, tree) = (Server::start(), SmallTree::new());
            let remote = tree.folder.join("resident");
            server.give(&remote);
            vim(&server, &server.ssh_config, &remote, "s/3/three/ | w");
            assert_eq!(std::fs::read(&remote).unwrap(), b"12three45\n");
        });
    }

    /// Opens the remote file with netrw, runs one Ex command, leaves.
    fn vim(server: &Server, config: &Path, remote: &Path, command: &str) {
        let scp = format!("let g:netrw_scp_cmd = '{} -q -F {}'", program("scp").display(), config.display());
        let home = server.scratch().folder("vim-home");
        let finished = Run::new(program("vim"))
            .args(["-N", "-u", "NONE", "-i", "NONE", "-n", "--not-a-term", "-c", &scp])
            .args(["-c", "let g:netrw_silent = 1", "-c", "runtime plugin/netrwPlugin.vim"])
            .args(["-c", &format!("edit scp://hop/{}", remote.display()), "-c", command, "-c", "qall!"])
            .env("HOME", home)
            .env("TERM", "vt220")
            .finish();
        assert_eq!(finished.status, Some(0), "{finished}");
    }
}

/// ssh with its configuration, as one string for a program that splits it.
fn ssh_command(config: &Path) -> OsString {
    let mut command = program("ssh").into_os_string();
    command.push(" -F ");
    command.push(config);
    command
}
