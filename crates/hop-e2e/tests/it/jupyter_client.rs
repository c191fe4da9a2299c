//! `hop jupyter` against a real JupyterHub: from the Hub's address to `ssh NAME`, on a machine that knows nothing yet.

mod shut;
mod starts;
mod tokens;

use std::path::Path;
use std::time::Duration;

use hop_e2e::hub::{Hub, Options, USER};
use hop_e2e::program::python_of_hub;
use hop_e2e::{Laptop, Run};
use serde_json::{Value, json};

const SMALL: [&str; 3] = ["access:servers!user=alice", "servers!user=alice", "read:servers!user=alice"];

fn options(installation: &str) -> Options {
    Options {
        server_config: format!("c.GrasshopperSSH.key_installation = {installation:?}\n"),
        ..Options::default()
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// `hop jupyter add`, as a script does it.
fn add(laptop: &Laptop, hub: &Hub, token: &Path, more: &[&str]) -> Run {
    let run = laptop.hop(&["jupyter", "add", &hub.address(), "--yes", "--token-file"]).arg(token);
    run.args(more).limit(Duration::from_secs(180))
}

fn tokens(hub: &Hub) -> Vec<Value> {
    let (_, answer) = hub.api("GET", &format!("/users/{USER}/tokens"), None);
    let all = answer["api_tokens"].as_array().unwrap().clone();
    // A server has one of its own.
    let own = |token: &Value| token["note"].as_str().is_some_and(|note| note.starts_with("Server at"));
    all.into_iter().filter(|token| token["kind"] == "api_token" && !own(token)).collect()
}

#[test]
fn from_the_address_of_a_hub_to_ssh() {
    let hub = Hub::start(&Options { base: "/base/".to_owned(), ..options("on") });
    let laptop = Laptop::new();
    std::fs::write(laptop.home(".ssh/config"), "# mine\nHost other\n    User me\n").unwrap();
    // All rights of alice, as the token page gives it: the server is stopped, and nothing is set up.
    let large = hub.token_of(USER, &json!({"note": "pasted"}));
    let added = add(&laptop, &hub, &large, &["--name", "hub", "--revoke-large", "yes"]).success();
    assert_eq!(added.stdout(), "ssh hub\n");
    let said = added.stderr();
    for wanted in
        ["starting the server of alice\n", "The token that you gave is revoked.\n", "The key is installed"]
    {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    // The pasted one is gone; what is left is small, has an end, and stands nowhere in the clear.
    let left = tokens(&hub);
    assert_eq!(left.len(), 1, "{left:?}");
    let scopes = left[0]["scopes"].to_string();
    for scope in SMALL {
        assert!(scopes.contains(scope), "{scope}: {scopes}");
    }
    assert!(!scopes.contains("tokens") && !scopes.contains("self"), "{scopes}");
    assert!(left[0]["expires_at"].is_string(), "{left:?}");
    // The person's file got one line, and the block is one that every reader understands.
    assert_eq!(
        text(&laptop.home(".ssh/config")),
        "Include ~/.ssh/hop-jupyter.conf\n# mine\nHost other\n    User me\n"
    );
    let block = text(&laptop.home(".ssh/hop-jupyter.conf"));
    assert!(block.contains("Host hub\n    HostName 127.0.0.1\n"), "{block}");
    assert!(!block.contains("Match") && !block.contains('\''), "{block}");
    assert!(!block.contains(text(&large).trim()), "{block}");
    // Plain ssh, also after the server was stopped.
    assert_eq!(laptop.ssh("hub", "echo $JUPYTERHUB_USER").success().stdout(), "alice\n");
    hub.stop_server();
    let again = laptop.ssh("hub", "echo in").limit(Duration::from_secs(120)).success();
    assert_eq!(again.stdout(), "in\n");
    assert!(again.stderr().contains("starting the server of alice"), "{again}");
    // The key's line ends with the token.
    let keys = text(&hub.home().join(".local/share/hop/jupyter-keys"));
    assert!(keys.contains("expiry-time=\"") && keys.contains("Z\" ssh-ed25519 "), "{keys}");
    let listed = laptop.hop(&["jupyter", "list", "--json"]).success().stdout();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed["name"], &listed["user"], &listed["server"]),
        (&json!("hub"), &json!(USER), &json!(""))
    );
    assert!(listed["last_use"].is_string() && listed["token_expires"].is_string(), "{listed}");
    let status = laptop.hop(&["jupyter", "status", "hub"]).success().stdout();
    assert!(status.starts_with("hub: running\n"), "{status}");
    assert!(status.contains("  token     29 d 23 h left\n"), "{status}");
    assert!(status.contains("  key       SHA256:"), "{status}");
    // A second one of the same Hub needs no token: a named server.
    let named = laptop.hop(&["jupyter", "add", &hub.address(), "--server", "lab", "--name", "lab", "--yes"]);
    let named = named.limit(Duration::from_secs(180)).success();
    assert_eq!(named.stdout(), "ssh lab\n", "{named}");
    assert_eq!(laptop.ssh("lab", "echo $JUPYTERHUB_SERVER_NAME").success().stdout(), "lab\n");
    // Removed: block, key, record; the last one takes the token along.
    let removed = laptop.hop(&["jupyter", "remove", "lab", "--yes"]).success().stderr();
    assert!(removed.contains("The token stays"), "{removed}");
    let removed = laptop.hop(&["jupyter", "remove", "hub", "--yes"]).success().stderr();
    assert!(removed.contains("hub/token does."), "{removed}");
    assert_eq!(text(&laptop.home(".ssh/config")), "# mine\nHost other\n    User me\n");
    assert!(!laptop.home(".ssh/hop-jupyter.conf").exists());
    assert!(!text(&hub.home().join(".local/share/hop/jupyter-keys")).contains("ssh-ed25519"));
    assert_eq!(laptop.hop(&["jupyter", "list", "--json"]).success().stdout(), "");
    let unknown = laptop.hop(&["jupyter", "status", "hub"]).status(78).stderr();
    assert!(unknown.contains("no Jupyter server was set up as hub"), "{unknown}");
}

#[test]
fn a_token_that_is_too_small_is_told_what_it_lacks() {
    let hub = Hub::start(&options("on"));
    let laptop = Laptop::new();
    let small = hub.token(&[SMALL[0]]);
    let said = add(&laptop, &hub, &small, &[]).status(77).stderr();
    let wanted = "error: the token lacks servers!user=alice (to start it), read:servers!user=alice (to see whether it runs)\n";
    assert!(said.contains(wanted), "{said}");
    assert!(said.contains(&format!("hint: make one at {}hub/token:", hub.address())), "{said}");
    let wrong = hub.token_file("feedfeedfeedfeed");
    let said = add(&laptop, &hub, &wrong, &[]).status(77).stderr();
    assert!(said.contains("does not know the token: it is mistyped, expired or revoked"), "{said}");
    for (key, wanted) in [
        ("https://127.0.0.1/alice.keys", "127.0.0.1 is at 127.0.0.1, an address that is not public"),
        ("http://keys.example.org/alice.keys", "keys are taken from https:// pages only"),
        ("/nowhere.pub", "cannot read the public key /nowhere.pub"),
    ] {
        let said = add(&laptop, &hub, &wrong, &["--key", key]).status(78).stderr();
        assert!(said.contains(wanted), "{said}");
    }
    let said =
        laptop.hop(&["jupyter", "add", &format!("{}else", hub.address()), "--yes"]).status(69).stderr();
    assert!(said.contains("there is no JupyterHub at"), "{said}");
    assert!(!laptop.home(".ssh/config").exists(), "nothing was changed");
}

#[test]
fn a_revoked_token_becomes_a_sentence_and_login_gives_a_new_one() {
    let hub = Hub::start(&options("on"));
    let laptop = Laptop::new();
    let token = hub.token(&SMALL);
    let _ = add(&laptop, &hub, &token, &["--name", "hub"]).success();
    hub.stop_server();
    let id = tokens(&hub)[0]["id"].as_str().unwrap().to_owned();
    let (status, _) = hub.api("DELETE", &format!("/users/{USER}/tokens/{id}"), None);
    assert_eq!(status, 204);
    let said = laptop.ssh("hub", "true").status(255).stderr();
    assert!(said.contains("error: the token may not start the server of alice\n"), "{said}");
    assert!(said.contains("hop jupyter login hub gives a new one"), "{said}");
    let said = laptop.hop(&["jupyter", "status", "hub"]).status(77).stderr();
    assert!(said.contains("hint: hop jupyter login hub gives a new one"), "{said}");
    let fresh = hub.token(&SMALL);
    let login = laptop.hop(&["jupyter", "login", "hub", "--token-file"]).arg(&fresh).success();
    assert_eq!(login.stdout(), "ssh hub\n");
    let _ = laptop.ssh("hub", "true").limit(Duration::from_secs(120)).success();
}

#[test]
fn a_token_that_may_renews_itself() {
    let hub = Hub::start(&options("on"));
    hub.start_server("");
    let laptop = Laptop::new();
    let large = hub.token_of(USER, &json!({"note": "pasted"}));
    let more = ["--name", "hub", "--renew", "--revoke-large", "yes", "--expires", "60s"];
    let _ = add(&laptop, &hub, &large, &more).success();
    let first = tokens(&hub)[0]["id"].clone();
    // Two thirds of its life. Four at once renew it once, and all get in.
    std::thread::sleep(Duration::from_secs(41));
    let logins: Vec<_> = (0..4).map(|_| laptop.ssh("hub", "true").background()).collect();
    for mut login in logins {
        assert_eq!(login.wait(), Some(0), "{}", login.output());
    }
    let left = tokens(&hub);
    assert_eq!(left.len(), 1, "the old one is revoked: {left:?}");
    assert_ne!(left[0]["id"], first);
    // It may revoke itself, too.
    let removed = laptop.hop(&["jupyter", "remove", "hub", "--yes"]).success().stderr();
    assert!(removed.contains("The token is revoked."), "{removed}");
    assert_eq!(tokens(&hub).len(), 0);
}

/// A browser that signs in as a person, opens a page and presses a button.
const BROWSER: &str = r#"
import http.cookiejar, re, sys, urllib.parse, urllib.request
hub, user, page, answer = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
form = opener.open(hub + "hub/login").read().decode()
xsrf = lambda text: re.search(r'name="_xsrf"[^>]*value="([^"]+)"', text)[1]
sent = urllib.parse.urlencode({"_xsrf": xsrf(form), "username": user, "password": "x"}).encode()
opener.open(hub + "hub/login", sent).read()
shown = opener.open(page).read().decode()
print(re.search(r"<strong>([^<]+)</strong>", shown)[1])
sent = {"answer": answer}
if len(sys.argv[4]) and answer != "forged":
    sent["_xsrf"] = xsrf(shown)
else:
    sent["answer"] = "yes"
print(re.search(r"<h1>([^<]+)</h1>", opener.open(page, urllib.parse.urlencode(sent).encode()).read().decode())[1])
"#;

fn browse(hub: &Hub, user: &str, page: &str, answer: &str) -> hop_e2e::Finished {
    Run::new(python_of_hub()).args(["-c", BROWSER, &hub.address(), user, page, answer]).finish()
}

#[test]
fn a_key_waits_for_its_owner_in_a_browser() {
    let hub = Hub::start(&options("ask"));
    hub.start_server("");
    let laptop = Laptop::new();
    let token = hub.token(&SMALL);
    let mut adding = add(&laptop, &hub, &token, &["--name", "hub"]).background();
    let (code, page) = adding.wait_for("the code", |text| {
        let code = text.split_once("the code ")?.1.split(':').next()?.to_owned();
        let page = text.split_once("code ")?.1.split_once("  http")?.1.lines().next()?.to_owned();
        text.split_once("  http")?.1.contains('\n').then_some((code, format!("http{page}")))
    });
    let keys = hub.home().join(".local/share/hop/jupyter-keys");
    let has_key = || std::fs::read_to_string(&keys).unwrap_or_default().contains("ssh-ed25519");
    assert!(!has_key(), "nobody has said yes");
    // A token says nothing, not even the owner's; nor does a forged form, nor another person.
    let path = page.strip_prefix(&hub.address()).unwrap();
    let (status, _) = hub.ask("GET", path, text(&token).trim(), None);
    assert_eq!(status, 403);
    assert!(browse(&hub, USER, &page, "forged").stderr().contains("403"), "a form without its mark");
    assert!(browse(&hub, "bob", &page, "yes").stderr().contains("403"));
    assert!(!has_key());
    let said = browse(&hub, USER, &page, "yes").stdout();
    assert_eq!(said, format!("{code}\nThe key is in\n"));
    assert_eq!(adding.wait(), Some(0), "{}", adding.output());
    assert!(has_key());
    let _ = laptop.ssh("hub", "true").success();
    // The same key with the end of another token needs no word.
    let fresh = hub.token(&SMALL);
    let login = laptop.hop(&["jupyter", "login", "hub", "--token-file"]).arg(&fresh).success();
    assert!(!login.stderr().contains("at the next ssh"), "{login}");
    // No is no.
    let other = Laptop::new();
    let mut adding = add(&other, &hub, &token, &["--name", "hub"]).background();
    let page = adding.wait_for("the page", |text| {
        let rest = text.split_once("  http")?.1;
        rest.contains('\n').then(|| format!("http{}", rest.lines().next().unwrap()))
    });
    assert!(browse(&hub, USER, &page, "no").stdout().ends_with("The key stays out\n"));
    assert_eq!(adding.wait(), Some(77), "{}", adding.output());
}

#[test]
fn only_the_owner_puts_keys() {
    let hub = Hub::start(&options("on"));
    hub.start_server("");
    let place = "user/alice/sshd/keys";
    let key = Laptop::new().key.public;
    let offer = json!({"keys": [key], "title": "x", "expires": "2031-01-01T00:00:00Z"});
    // A service with all rights, and bob with a right to alice's server.
    let (status, answer) = hub.ask("POST", place, hub.admin_token(), Some(&offer));
    assert_eq!(status, 403, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("only alice, whose server it is"), "{answer}");
    let share = json!({"user": "bob", "scopes": ["access:servers!server=alice/"]});
    let (status, answer) = hub.api("POST", "/shares/alice/", Some(&share));
    assert_eq!(status, 200, "{answer}");
    let bob = hub.token_of("bob", &json!({"note": "b"}));
    let (status, answer) = hub.ask("POST", place, text(&bob).trim(), Some(&offer));
    assert_eq!(status, 403, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("only alice"), "{answer}");
    let (status, _) = hub.ask("POST", place, "", Some(&offer));
    assert_eq!(status, 403);
    // What is no key does not get in, nor does anything beside it.
    let alice = hub.token(&SMALL);
    let alice = text(&alice);
    for bad in [
        json!({"keys": ["command=\"id\" ssh-ed25519 AAAA"]}),
        json!({"keys": [format!("ssh-rsa {}", key.split(' ').nth(1).unwrap())]}),
        json!({"keys": []}),
        json!({"keys": [1]}),
        json!([]),
        json!({"keys": [key], "expires": "soon"}),
    ] {
        assert_eq!(hub.ask("POST", place, alice.trim(), Some(&bad)).0, 400, "{bad}");
    }
    let sly = json!({"keys": [format!("{key} x\nssh-ed25519 AAAA")], "title": "a\"\ncert-authority b"});
    assert_eq!(hub.ask("POST", place, alice.trim(), Some(&sly)).0, 201);
    let file = text(&hub.home().join(".local/share/hop/jupyter-keys"));
    assert_eq!(file.lines().count(), 2, "{file}");
    let (status, answer) = hub.ask("GET", place, alice.trim(), None);
    assert_eq!((status, answer["keys"].as_array().unwrap().len()), (200, 1), "{answer}");
}

#[test]
fn where_keys_are_put_by_hand_the_person_is_told_how() {
    let hub = Hub::start(&options("off"));
    hub.start_server("");
    let laptop = Laptop::new();
    let added = add(&laptop, &hub, &hub.token(&SMALL), &["--name", "hub"]).success();
    let line = format!("echo '{}' >> ~/.ssh/authorized_keys", laptop.key.public);
    assert!(added.stderr().contains(&line), "{added}");
    let refused = laptop.ssh("hub", "true").status(255).stderr();
    assert!(refused.contains("Permission denied (publickey)"), "{refused}");
    let file = hub.home().join(".ssh/authorized_keys");
    std::fs::write(&file, format!("{}\n", laptop.key.public)).unwrap();
    let _ = laptop.ssh("hub", "true").success();
}

/// A Hub with a form before the start, which nobody answers by itself.
const FORM: &str = r#"
async def wants_a_size(spawner):
    if "size" not in spawner.user_options:
        from tornado.web import HTTPError
        raise HTTPError(400, "choose a size first")
c.Spawner.pre_spawn_hook = wants_a_size
c.Spawner.environment["SIZE"] = lambda spawner: spawner.user_options["size"]
"#;

#[test]
fn the_form_before_a_start_is_answered_by_options() {
    let hub = Hub::start(&Options { hub_config: FORM.to_owned(), ..options("on") });
    let laptop = Laptop::new();
    let token = hub.token(&SMALL);
    let refused = add(&laptop, &hub, &token, &["--name", "hub"]).status(75).stderr();
    assert!(refused.contains("choose a size first"), "{refused}");
    assert!(refused.contains("--options"), "{refused}");
    let _ = add(&laptop, &hub, &token, &["--name", "hub", "--options", r#"{"size": "small"}"#]).success();
    assert_eq!(laptop.ssh("hub", "echo $SIZE").success().stdout(), "small\n");
    // It is answered so again, by ssh itself.
    hub.stop_server();
    let again = laptop.ssh("hub", "echo $SIZE").limit(Duration::from_secs(120)).success();
    assert_eq!(again.stdout(), "small\n");
}

/// A person who types: `wants TEXT` waits for it, `types TEXT` answers.
const PERSON: &str = r#"
set timeout 90
proc wants {text} {
    expect {
        $text {}
        timeout { puts "\nNOT SEEN: $text"; exit 1 }
        eof { puts "\nENDED BEFORE: $text"; exit 1 }
    }
}
proc types {text} { send -- "$text\r" }
proc ends {} {
    expect { eof {} timeout { puts "\nSTILL RUNS"; exit 1 } }
    set found [lindex [wait] 3]
    if {$found != 0} { puts "\nSTATUS $found"; exit 1 }
}
"#;

fn at_a_terminal(laptop: &Laptop, lines: &str) -> String {
    let script = laptop.home("person.exp");
    std::fs::write(&script, format!("{PERSON}{lines}\n")).unwrap();
    let run = laptop.run(hop_e2e::program::program("expect")).arg("-f").arg(script);
    run.limit(Duration::from_secs(180)).success().stdout()
}

#[test]
fn a_person_at_a_terminal_is_asked_for_what_is_missing() {
    let hub = Hub::start(&options("on"));
    hub.start_server("");
    let laptop = Laptop::new();
    let hop = hop_e2e::server::hop_binary().display();
    let large = text(&hub.token_of(USER, &json!({"note": "pasted"})));
    let seen = at_a_terminal(
        &laptop,
        &format!(
            "spawn env -u HOP_PASSPHRASE_FILE {hop} jupyter add {} --name hub\n\
             wants {{Make a token at}}\nwants {{Token: }}\ntypes {{{large}}}\n\
             wants {{Revoke the token that you gave?}}\ntypes y\n\
             wants {{A new passphrase for it: }}\ntypes horse\nwants {{Once more: }}\ntypes horse\n\
             wants {{Change this?}}\ntypes y\nwants {{ssh hub}}\nends",
            hub.address()
        ),
    );
    assert!(!seen.contains(large.trim()) && !seen.contains("horse"), "shown: {seen}");
    assert_eq!(tokens(&hub).len(), 1);
    // The token ends while nobody looks; whoever sits there is asked for another, and goes in.
    let id = tokens(&hub)[0]["id"].as_str().unwrap().to_owned();
    let _ = hub.api("DELETE", &format!("/users/{USER}/tokens/{id}"), None);
    hub.stop_server();
    let fresh = text(&hub.token_of(USER, &json!({"note": "pasted"})));
    let seen = at_a_terminal(
        &laptop,
        &format!(
            "spawn env -u HOP_PASSPHRASE_FILE ssh hub echo in and out\n\
             expect {{ {{Passphrase of*: }} {{ types horse; exp_continue }} {{Token: }} {{}} timeout {{ exit 1 }} eof {{ exit 1 }} }}\n\
             types {{{fresh}}}\nwants {{Revoke the token}}\ntypes n\nwants {{in and out}}\nends"
        ),
    );
    assert!(seen.contains("the token may not start the server of alice"), "{seen}");
    assert!(seen.contains("The key over there gets its new end at the next ssh."), "{seen}");
    let listed = laptop.hop(&["jupyter", "list", "--json"]).success().stdout();
    let end = serde_json::from_str::<Value>(&listed).unwrap()["token_expires"].as_str().unwrap().to_owned();
    let plain: String = end.chars().take(19).filter(char::is_ascii_digit).collect();
    let keys = text(&hub.home().join(".local/share/hop/jupyter-keys"));
    assert!(keys.contains(&format!("expiry-time=\"{plain}Z\"")), "{end}: {keys}");
    assert!(!seen.contains(fresh.trim()), "{seen}");
}
