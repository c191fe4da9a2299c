//! Tokens: where they are kept, how they end, and whose they are.

use std::time::Duration;

use hop_e2e::Laptop;
use hop_e2e::hub::{Hub, Options, USER};
use serde_json::{Value, json};

use super::{SMALL, add, options, text, tokens};

#[test]
fn an_expired_token_is_a_sentence_and_login_gives_a_new_one() {
    let hub = Hub::start(&options("on"));
    hub.start_server("");
    let laptop = Laptop::new();
    let large = hub.token_of(USER, &json!({"note": "pasted"}));
    let more = ["--name", "hub", "--revoke-large", "yes", "--expires", "20s"];
    let _ = add(&laptop, &hub, &large, &more).success();
    hub.wait_for_answer("the token to end", &format!("/users/{USER}/tokens"), |_, answer| {
        let all = answer["api_tokens"].as_array();
        let is_ours = |token: &Value| token["note"].as_str().is_some_and(|note| note.starts_with("hop"));
        all.is_some_and(|all| !all.iter().any(is_ours))
    });
    // A key's end is written without fractions of a second, and includes that second.
    std::thread::sleep(Duration::from_secs(1));
    // Where the server runs, and where it has to be started.
    for _ in 0..2 {
        let said = laptop.ssh("hub", "true").status(255).stderr();
        assert!(said.contains("hop jupyter login hub"), "{said}");
        hub.stop_server();
    }
    let listed = laptop.hop(&["jupyter", "list"]).success().stdout();
    assert!(listed.contains("token: ended: hop jupyter login hub"), "{listed}");
    let fresh = hub.token(&SMALL);
    let _ = laptop.hop(&["jupyter", "login", "hub", "--token-file"]).arg(&fresh).success();
    // The key's line has ended, too, and gets its new end on the way in.
    assert_eq!(laptop.ssh("hub", "echo in").limit(Duration::from_secs(120)).success().stdout(), "in\n");
}

#[test]
fn an_admins_token_starts_a_server_and_puts_no_key_there() {
    let more = "c.JupyterHub.load_roles.append({\"name\": \"admins\", \"users\": [\"bob\"], \"scopes\": \
                [\"admin:users\", \"admin:servers\", \"access:servers\", \"tokens\"]})\n";
    let hub = Hub::start(&Options { hub_config: more.to_owned(), ..options("on") });
    let laptop = Laptop::new();
    let token = hub.token_of("bob", &json!({"note": "an admin's"}));
    let added = add(&laptop, &hub, &token, &["--user", USER, "--name", "hub"]).success().stderr();
    assert!(added.contains("only alice, whose server it is, may install keys"), "{added}");
    assert!(added.contains("the token may do more than SSH needs"), "{added}");
    let keys = text(&hub.home().join(".local/share/hop/jupyter-keys"));
    assert!(!keys.contains("ssh-ed25519"), "{keys}");
    assert_eq!(tokens(&hub).len(), 0, "no token was made in alice's name");
    // The first lock is open to an admin, the second is not.
    let refused = laptop.ssh("hub", "true").status(255).stderr();
    assert!(refused.contains("Permission denied (publickey)"), "{refused}");
}

#[test]
fn a_token_is_kept_in_the_desktops_keyring() {
    let hub = Hub::start(&options("on"));
    hub.start_server("");
    let laptop = Laptop::new();
    let token = hub.token(&SMALL);
    let _ = hop_e2e::program::program("gnome-keyring-daemon");
    let hop = hop_e2e::server::hop_binary().display().to_string();
    let session = format!(
        "export XDG_RUNTIME_DIR=$(mktemp -d); unset HOP_PASSPHRASE_FILE; \
         printf login | gnome-keyring-daemon --unlock --components=secrets > /dev/null; \
         {hop} jupyter add {} --name hub --yes --token-file {} && rm {} && ssh -o BatchMode=yes hub echo in",
        hub.address(),
        token.display(),
        token.display()
    );
    let text_of_token = text(&token);
    let run =
        laptop.run(hop_e2e::program::program("dbus-run-session")).args(["--", "/bin/bash", "-c", &session]);
    let ended = run.limit(Duration::from_secs(180)).success();
    assert!(ended.stderr().contains("The token is in the desktop's keyring."), "{ended}");
    assert!(ended.stdout().ends_with("ssh hub\nin\n"), "{ended}");
    assert!(!ended.stderr().contains(text_of_token.trim()), "{ended}");
    assert!(!laptop.home(".data/hop/secrets").exists());
}
