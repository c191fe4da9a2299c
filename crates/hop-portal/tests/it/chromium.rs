//! The pages in Chromium, driven by `tests/browser/run.mjs`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use hop_e2e::program;
use hop_keys::{KeyAlgorithm, PrivateKey};
use hop_portal::RunningProjects as _;
use hop_portal::operations::{KeyPlace, KeySource};
use hop_store::{AccountId, KeyUse, Role};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::served::{Served, Setup, keys_elsewhere};
use crate::site::{PASSWORD, name, new_key, operator, title};

/// Chromium starts slowly beside other tests.
const LIMIT: Duration = Duration::from_secs(120);

/// Starts a scenario.
fn start(served: &Served, scenario: &str, more: &Value) -> Child {
    let folder = program::peers_folder().join("npm");
    let library = folder.join("node_modules/playwright-core");
    assert!(
        library.exists(),
        "the npm packages playwright-core and axe-core are missing: run `cargo xtask setup`"
    );
    let mut given = more.clone();
    given["scenario"] = scenario.into();
    given["npm"] = folder.to_str().unwrap().into();
    given["chromium"] = program::program("chromium").to_str().unwrap().into();
    given["url"] = served.names.origin().into();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/run.mjs");
    Command::new("node")
        .arg(script)
        .arg(given.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node (20 or later) drives Chromium")
}

/// Waits for its end, and says why it was a bad one.
async fn finish(mut child: Child) {
    let mut words = String::new();
    let mut errors = child.stderr.take().unwrap();
    let ended = tokio::time::timeout(LIMIT, async {
        errors.read_to_string(&mut words).await.unwrap();
        child.wait().await.unwrap()
    });
    let status = ended.await.expect("Chromium took too long");
    assert!(status.success(), "{words}");
}

/// A link that signs an account in.
async fn link(served: &Served, account: AccountId) -> String {
    let hour = Duration::from_secs(3_600);
    let link = served.site.operations.make_sign_in_link(&operator(), account, hour).await.unwrap();
    served.names.sign_in_link(&link.token)
}

async fn a_person_does_what_there_is_to_do(scripts: bool) {
    let served = Served::new().await;
    let (ada, _) = served.site.account("ada").await;
    served.site.account("bob").await;
    let key = new_key();
    let private = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().to_openssh("mine");
    let given = json!({
        "scripts": scripts,
        "link": link(&served, ada).await,
        "key": format!("  {}\n", key.to_line("ada@laptop")),
        "fingerprint": key.fingerprint().to_string(),
        "private": &*private,
    });
    let mut child = start(&served, "person", &given);
    // Chromium tells of the answer to a refused form, which is what the scenario asks for.
    child.stdout.take();
    finish(child).await;
}

#[tokio::test]
async fn a_person_works_with_scripts() {
    a_person_does_what_there_is_to_do(true).await;
}

#[tokio::test]
async fn a_person_works_without_scripts() {
    a_person_does_what_there_is_to_do(false).await;
}

#[tokio::test]
async fn the_live_part_follows() {
    let served = Served::new().await;
    let (ada, _) = served.site.account("ada").await;
    let project = served.site.project(ada, "climate").await;
    let given = json!({ "link": link(&served, ada).await, "project": format!("/projects/{project}") });
    let mut child = start(&served, "live", &given);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = tokio::time::timeout(LIMIT, lines.next_line()).await.unwrap().unwrap();
    if ready.as_deref() == Some("ready") {
        let found = served.site.store().projects().find_by_id(project).await.unwrap().unwrap();
        served.environments.start(found).await.unwrap();
        served.site.ssh_session(ada, project).await;
    }
    let out = tokio::time::timeout(LIMIT, lines.next_line()).await.unwrap().unwrap();
    if out.as_deref() == Some("out") {
        served.site.operations.end_web_sessions(&operator(), ada).await.unwrap();
    }
    finish(child).await;
}

#[tokio::test]
async fn copying_and_the_keyboard() {
    let served = Served::new().await;
    let (ada, _) = served.site.account("ada").await;
    let project = served.site.project(ada, "climate").await;
    let given = json!({ "link": link(&served, ada).await, "project": format!("/projects/{project}") });
    finish(start(&served, "copying", &given)).await;
}

/// A site with something on every page.
#[tokio::test]
async fn every_page_is_accessible_and_fits() {
    let key_urls = Some(keys_elsewhere(String::new()).await);
    let served = Served::with(Setup { key_urls, ..Setup::default() }).await;
    let (site, operations) = (&served.site, &served.site.operations);
    let (ada, by_ada) = site.account("ada.lovelace@example.org").await;
    let (bob, by_bob) = site.account("bob").await;
    let (cleo, _) = site.account("cleo").await;
    let alone = site.account("newcomer").await.0;
    operations.set_password(&by_ada, ada, None, Some(PASSWORD)).await.unwrap();
    let day = Duration::from_secs(86_400);
    let project = site.project(ada, "climate").await;
    operations.set_project_title(&by_ada, project, &title("Climate runs 2026")).await.unwrap();
    let plain = site.project(ada, "").await;
    operations
        .set_project_title(&by_ada, plain, &title(&"A long title without an end, ".repeat(3)))
        .await
        .unwrap();
    operations.add_member(&by_ada, project, &name("bob"), Role::Collaborator).await.unwrap();
    operations.add_member(&by_ada, project, &name("cleo"), Role::Owner).await.unwrap();
    let place = KeyPlace::Account(ada);
    for (text, expires) in
        [("laptop", None), ("yubikey on the blue keyring", Some(day * 30)), ("old", Some(day / 2))]
    {
        let source = KeySource::Paste(new_key().to_line(text));
        let expires = expires.map(|span| operations.now().plus(span));
        operations.add_keys(&by_ada, place, None, &source, expires).await.unwrap();
    }
    let key = operations.account_keys(&by_ada, ada).await.unwrap()[0].id;
    let used = KeyUse { at: operations.now(), address: [198, 51, 100, 4].into(), project: Some(project) };
    site.store().keys().record_use(key, used).await.unwrap();
    let robot = KeySource::Paste(new_key().to_line("nightly robot"));
    let place = KeyPlace::Project { project, holder: ada };
    operations.add_keys(&by_ada, place, None, &robot, None).await.unwrap();
    let invited = operations.invite(&by_ada, Some((project, Role::Collaborator)), day * 7).await.unwrap();
    operations.invite(&by_ada, Some((project, Role::Owner)), day * 7).await.unwrap();
    for who in [ada, bob, cleo] {
        site.ssh_session(who, project).await;
    }
    let found = site.store().projects().find_by_id(project).await.unwrap().unwrap();
    served.environments.start(found).await.unwrap();
    operations.set_project_title(&by_bob, project, &title("x")).await.unwrap_err();
    site.pass(day);
    let mut links = Vec::new();
    let mut newcomers = Vec::new();
    for _ in 0..4 {
        links.push(link(&served, ada).await);
        newcomers.push(link(&served, alone).await);
    }
    let pictures = program::target_folder().join("pictures");
    let pages = json!({
        "projects": "/projects",
        "project": format!("/projects/{project}"),
        "project-plain": format!("/projects/{plain}"),
        "keys": "/keys",
        "account": "/account",
        "nothing": "/nothing",
    });
    let invitation = served.names.invitation_link(&invited.token);
    let pictures = pictures.to_str().unwrap();
    let given = json!({ "links": links, "pages": pages, "invitation": invitation, "pictures": pictures });
    finish(start(&served, "looks", &given)).await;
    let pages = json!({ "projects-empty": "/projects", "keys-empty": "/keys", "account-fresh": "/account" });
    let given = json!({ "links": newcomers, "pages": pages, "invitation": invitation, "pictures": pictures });
    finish(start(&served, "looks", &given)).await;
}
