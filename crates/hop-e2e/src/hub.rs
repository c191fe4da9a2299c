//! A real JupyterHub: its proxy, a dummy sign-in, and servers that have the wheel of this tree installed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{hub_program, hub_proxy, jupyter_sshd_proxy, python_of_hub};
use crate::run::Background;
use crate::server::hop_binary;
use crate::sshd::Release;
use crate::{Identity, Run, Scratch};

/// The person whose server is reached.
pub const USER: &str = "alice";
/// What the tests themselves ask the Hub with.
const ADMIN: &str = "0123456789abcdef0123456789abcdef";
/// From asking for a server to its being there: two loaded cores start Python.
const START: Duration = Duration::from_secs(60);

/// What a test may choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// The Hub's base path.
    pub base: String,
    /// Lines for the servers' jupyter_server_config.py.
    pub server_config: String,
    /// Lines for jupyterhub_config.py.
    pub hub_config: String,
    /// Whether the servers have jupyter-sshd-proxy, too.
    pub jupyter_sshd_proxy: bool,
    /// Whether the servers have the wheel.
    pub has_wheel: bool,
    /// The `hop` of the servers, in the place of the wheel's, which is not optimised.
    pub hop: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base: "/".to_owned(),
            server_config: String::new(),
            hub_config: String::new(),
            jupyter_sshd_proxy: false,
            has_wheel: true,
            hop: None,
        }
    }
}

/// A running Hub.
#[derive(Debug)]
pub struct Hub {
    /// A key that [`USER`]'s server takes.
    pub user_key: Identity,
    port: u16,
    base: String,
    process: Background,
    // Last: the processes must be gone before their files are.
    scratch: Scratch,
}

impl Hub {
    /// Starts one; no server runs yet.
    #[must_use]
    pub fn start(options: &Options) -> Self {
        let scratch = Scratch::new();
        let user_key = Identity::ed25519(&scratch, "user_key");
        let keys = scratch.folder(format!("home/{USER}/.ssh"));
        std::fs::set_permissions(&keys, PermissionsExt::from_mode(0o700)).expect("a private folder");
        std::fs::write(keys.join("authorized_keys"), &user_key.public).expect("write authorized_keys");
        let environment = environment(&scratch, options);
        let folder = environment.join("etc/jupyter");
        std::fs::create_dir_all(&folder).expect("a folder for settings");
        std::fs::write(folder.join("jupyter_server_config.py"), &options.server_config)
            .expect("write the servers' settings");
        let [port, hub, api] = free_ports();
        let config =
            scratch.write("jupyterhub_config.py", config(&scratch, options, &environment, [port, hub, api]));
        let path = std::env::var("PATH").unwrap_or_default();
        let venv = hub_program("jupyterhub").parent().expect("a program lies in a folder").to_owned();
        let process = Run::new(hub_program("jupyterhub"))
            .arg("-f")
            .arg(config)
            .current_dir(scratch.path())
            .env("PATH", format!("{}:{path}", venv.display()))
            .background();
        let running = "JupyterHub is now running";
        process.wait_for(running, |text| text.contains(running).then_some(()));
        let hub = Self { user_key, port, base: options.base.clone(), process, scratch };
        // It says so before its proxy leads to it.
        hub.wait_for_answer("its proxy to lead to the Hub", "/", |status, _| status == 200);
        hub
    }

    /// One whose [`USER`] has a server.
    #[must_use]
    pub fn with_server() -> Self {
        let hub = Self::start(&Options::default());
        hub.start_server("");
        hub
    }

    /// A folder for more files, which lives as long.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The home of [`USER`].
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.scratch.join("home").join(USER)
    }

    /// What the Hub, its proxy and the servers said.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// The process of the Hub.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The port of the Hub's proxy.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of [`USER`]'s SSH; of a named server, if a name is given.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        let slash = if name.is_empty() { "" } else { "/" };
        format!("ws://127.0.0.1:{}{}user/{USER}{slash}{name}/sshd/", self.port, self.base)
    }

    /// The address of the Hub itself.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.base)
    }

    /// Asks an API of the Hub or of a server, with any token; the status and the answer.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
        request(self.port, method, &format!("{}{path}", self.base), token, body)
    }

    /// A token of the tests' own service, which may do everything.
    #[must_use]
    pub fn admin_token(&self) -> &'static str {
        ADMIN
    }

    /// Asks the Hub's API, as somebody who may do everything; the status and the answer.
    #[must_use]
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let path = format!("{}hub/api{path}", self.base);
        request(self.port, method, &path, ADMIN, body)
    }

    /// Starts a server and waits until it is ready.
    pub fn start_server(&self, name: &str) {
        let place = if name.is_empty() { "server".to_owned() } else { format!("servers/{name}") };
        let (status, answer) = self.api("POST", &format!("/users/{USER}/{place}"), None);
        assert!([201, 202].contains(&status), "the server does not start: {status} {answer}");
        self.wait_for_server("ready", |server| server["ready"] == true, name);
    }

    /// Stops the server and waits until it is gone.
    pub fn stop_server(&self) {
        let (status, answer) = self.api("DELETE", &format!("/users/{USER}/server"), None);
        assert!([202, 204].contains(&status), "the server does not stop: {status} {answer}");
        self.wait_for_server("gone", Value::is_null, "");
    }

    /// Waits until what the Hub says of a server is as wanted.
    pub fn wait_for_server(&self, what: &str, wanted: impl Fn(&Value) -> bool, name: &str) {
        self.wait_for_answer(&format!("the server to be {what}"), &format!("/users/{USER}"), |_, user| {
            wanted(&user["servers"][name])
        });
    }

    /// Waits until the Hub answers a question as wanted: by its status and what it says.
    pub fn wait_for_answer(&self, what: &str, path: &str, wanted: impl Fn(u16, &Value) -> bool) {
        let deadline = Instant::now() + START;
        loop {
            let (status, answer) = self.api("GET", path, None);
            if wanted(status, &answer) {
                return;
            }
            let log = || self.log();
            assert!(Instant::now() < deadline, "waited {START:?} for {what}: {status} {answer}\n{}", log());
            // The Hub tells nobody; it can only be asked.
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// A new token of [`USER`], in a file that only its owner can read. The least scope that reaches SSH is
    /// `access:servers!user=alice`.
    #[must_use]
    pub fn token(&self, scopes: &[&str]) -> PathBuf {
        self.token_of(USER, &json!({"note": "ssh", "expires_in": 3600, "scopes": scopes}))
    }

    /// A new token of anybody, as the Hub's API wants it asked for.
    #[must_use]
    pub fn token_of(&self, user: &str, body: &Value) -> PathBuf {
        self.token_and_id(user, body).0
    }

    /// The same, with the id by which it is revoked.
    #[must_use]
    pub fn token_and_id(&self, user: &str, body: &Value) -> (PathBuf, String) {
        let (status, answer) = self.api("POST", &format!("/users/{user}/tokens"), Some(body));
        let told =
            |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("no token: {status} {answer}"));
        (self.token_file(told("token")), told("id").to_owned())
    }

    /// A file with this as token.
    #[must_use]
    pub fn token_file(&self, token: &str) -> PathBuf {
        let path = self.scratch.write(format!("token.{token}"), token);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("a private file");
        path
    }

    /// ssh with a host `hub` that is reached by this ProxyCommand. The user name is one that is nowhere.
    #[must_use]
    pub fn openssh(&self, program: &str, proxy_command: &str) -> Run {
        Run::from_words(&Release::V9_2.words(program)).arg("-F").arg(self.ssh_config(proxy_command))
    }

    /// The same as a file.
    #[must_use]
    pub fn ssh_config(&self, proxy_command: &str) -> PathBuf {
        let config = format!(
            "Host hub\n  User jovyan\n  HostKeyAlias hub\n  IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking accept-new\n  BatchMode yes\n  \
             ControlPath none\n  LogLevel ERROR\n  ProxyCommand {proxy_command}\n",
            self.user_key.private.display(),
            self.scratch.join("known_hosts").display(),
        );
        self.scratch.write("ssh_config", config)
    }

    /// The ProxyCommand of ours.
    #[must_use]
    pub fn hop_proxy(&self, token: &Path, url: &str) -> String {
        format!("{} proxy --token-file {} {url}", hop_binary().display(), token.display())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // The Hub ends its servers and its proxy, which are in groups of their own.
        let id = self.process.id();
        self.process.signal("TERM");
        let deadline = Instant::now() + Duration::from_secs(20);
        while is_running(id) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn is_running(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // One that has ended and was not waited for is a zombie.
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn config(scratch: &Scratch, options: &Options, environment: &Path, [port, hub, api]: [u16; 3]) -> String {
    let is_root = std::fs::metadata("/root/").is_ok() && std::fs::read_dir("/root").is_ok();
    let arguments = if is_root { "[\"--allow-root\"]" } else { "[]" };
    format!(
        r#"c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}{base}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = ["{proxy}"]
c.ConfigurableHTTPProxy.pid_file = "{here}/proxy.pid"
c.JupyterHub.db_url = "sqlite:///{here}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "{here}/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.allow_named_servers = True
c.Authenticator.allowed_users = {{"{USER}", "bob"}}
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{here}/home/{{username}}"
c.Spawner.ip = "127.0.0.1"
c.Spawner.args = {arguments}
c.Spawner.cmd = ["{environment}/bin/python", "-m", "jupyterhub.singleuser"]
# Without the pages of JupyterLab.
c.Spawner.environment = {{"JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp", "TMPDIR": "/tmp"}}
c.JupyterHub.services = [{{"name": "tests", "api_token": "{ADMIN}"}}]
c.JupyterHub.load_roles = [{{"name": "tests", "services": ["tests"],
    "scopes": ["admin:users", "admin:servers", "tokens", "access:servers", "shares"]}}]
{more}
"#,
        base = options.base,
        proxy = hub_proxy().display(),
        here = scratch.path().display(),
        environment = environment.display(),
        more = options.hub_config,
    )
}

/// The Python environment of the servers: the Hub's packages, and the wheel.
fn environment(scratch: &Scratch, options: &Options) -> PathBuf {
    let folder = scratch.join("env");
    let _ = Run::new(python_of_hub()).args(["-m", "venv", "--without-pip"]).arg(&folder).success();
    let packages = |python: &Path| {
        let code = "import sysconfig; print(sysconfig.get_path('purelib'))";
        PathBuf::from(Run::new(python).args(["-c", code]).success().stdout().trim_end())
    };
    let python = folder.join("bin/python");
    let of_hub = packages(&python_of_hub());
    let mut lead = format!("{}\n", of_hub.display());
    if options.jupyter_sshd_proxy {
        lead += &format!("{}\n", jupyter_sshd_proxy().display());
    }
    std::fs::write(packages(&python).join("hub.pth"), lead).expect("lead to the Hub's packages");
    if !options.has_wheel {
        return folder;
    }
    crate::wheel::install(&python);
    if let Some(hop) = &options.hop {
        let _ = std::fs::copy(hop, folder.join("bin/hop")).expect("put another hop in its place");
    }
    folder
}

/// Ports that are free at this moment; the Hub and its proxy cannot choose for themselves.
#[must_use]
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listeners = [(); COUNT].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound port").port())
}

fn request(port: u16, method: &str, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the Hub's proxy listens");
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAuthorization: token {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("ask the Hub");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).expect("the Hub's answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}
