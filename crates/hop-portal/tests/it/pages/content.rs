//! What the pages show and do.

use hop_keys::{KeyAlgorithm, PrivateKey};
use hop_portal::RunningError;
use hop_store::{KeyUse, Role};

use crate::served::{Served, Setup, keys_elsewhere};
use crate::site::{name, new_key, operator, title};

#[tokio::test]
async fn a_key_is_pasted_listed_changed_and_deleted() {
    let served = Served::new().await;
    let (ada, by_ada, mut visit) = served.person("ada").await;
    visit
        .get("/keys")
        .await
        .says("No key yet")
        .says("ssh-keygen -t ed25519")
        .says("is not read")
        .says("passphrase");
    let key = new_key();
    let pasted = format!("\n  {}\n\n", key.to_line("ada@laptop").replacen(' ', "\n", 1));
    let answer = visit.post("/keys", &[("key", &pasted), ("title", "laptop")]).await;
    assert_eq!(answer.location(), "/keys?done=added");
    let id = served.site.operations.account_keys(&by_ada, ada).await.unwrap()[0].id;
    let project = served.site.project(ada, "climate").await;
    let used =
        KeyUse { at: served.site.operations.now(), address: [192, 0, 2, 9].into(), project: Some(project) };
    served.site.store().keys().record_use(id, used).await.unwrap();
    let page = visit.get("/keys?done=added").await;
    page.says("The key was added")
        .says("<h3>laptop</h3>")
        .says(&key.fingerprint().to_string())
        .says(&key.md5_fingerprint())
        .says("192.0.2.9")
        .says(&format!("<a href=\"/projects/{project}\">A project</a>"));
    visit.post("/keys", &[("key", &pasted)]).await.says("This key is there already, as &#34;laptop&#34;.");
    let change = format!("/keys/{id}/change");
    visit.post(&change, &[("title", "old laptop"), ("last_day", "2099-12-31")]).await;
    visit.get("/keys").await.says("old laptop").says("(2100-01-01 00:00 UTC)").says("value=\"2099-12-31\"");
    visit.post(&change, &[("title", "x"), ("last_day", "2001-01-01")]).await.says("The end lies in the past");
    let answer = visit.post(&format!("/keys/{id}/remove"), &[]).await;
    assert_eq!(answer.location(), "/keys?done=removed");
    visit.get("/keys").await.says("No key yet");
    assert_eq!(visit.post(&format!("/keys/{id}/remove"), &[]).await.status, 404);
}

#[tokio::test]
async fn a_private_key_is_neither_stored_nor_shown_again() {
    let served = Served::new().await;
    let (_, _, mut visit) = served.person("ada").await;
    let file = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().to_openssh("mine");
    let answer = visit.post("/keys", &[("key", &file), ("title", "my title")]).await;
    assert_eq!(answer.status, 422);
    answer.says("This is a private key").says("my title");
    for line in file.lines() {
        answer.says_not(line);
    }
}

#[tokio::test]
async fn what_people_write_is_escaped() {
    let served = Served::new().await;
    let (ada, by_ada, mut visit) = served.person("ada").await;
    let evil = "<script>alert(1)</script>\"'";
    let project = served.site.operations.add_project(&by_ada, ada, &title(evil), None).await.unwrap().id;
    visit.post("/keys", &[("key", &new_key().to_line(evil)), ("title", evil)]).await;
    visit
        .post("/keys", &[("key", evil), ("title", evil)])
        .await
        .says("not a public key")
        .says_not("<script>a");
    for path in [
        "/keys",
        "/projects",
        &format!("/projects/{project}"),
        "/keys?done=%3Cscript%3Ealert(1)%3C/script%3E",
    ] {
        visit.get(path).await.says_not("<script>a").says("<main");
    }
    visit
        .get(&format!("/projects/{project}"))
        .await
        .says("&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;");
    let mut stranger = served.visit();
    stranger.post("/sign-in", &[("name", evil), ("password", "x")]).await.says_not("<script>a");
    stranger.get("/sign-in?next=%22%3E%3Cscript%3Ealert(1)").await.says_not("<script>a");
}

#[tokio::test]
async fn several_keys_at_once_are_told_line_by_line() {
    let served = Served::new().await;
    let (_, _, mut visit) = served.person("ada").await;
    let text = format!("{}\nnonsense\nssh-dss AAAA\n{}", new_key().to_line("one"), new_key().to_line("two"));
    let page = visit.post("/keys", &[("key", &text)]).await;
    assert_eq!(page.status, 200);
    page.says("2 keys were added.")
        .says("Line 2: this is not a public key")
        .says("Line 3: DSA keys are not safe")
        .says("<h3>one</h3>")
        .says("<h3>two</h3>");
}

#[tokio::test]
async fn keys_from_a_url_need_the_site_to_read_them() {
    let served = Served::new().await;
    let (_, _, mut visit) = served.person("ada").await;
    visit.get("/keys").await.says_not("new-url");
    visit.post("/keys", &[("url", "https://keys.example/")]).await.says("does not read keys from URLs");
}

#[tokio::test]
async fn keys_are_read_from_a_url() {
    let (one, two) = (new_key(), new_key());
    let text = format!("{}\n{}\n", one.to_line(""), two.to_line("named"));
    let key_urls = Some(keys_elsewhere(text).await);
    let served = Served::with(Setup { key_urls, ..Setup::default() }).await;
    let (_, _, mut visit) = served.person("ada").await;
    let page = visit.post("/keys", &[("key", ""), ("url", " https://keys.example/ada.keys ")]).await;
    page.says("2 keys were added.")
        .says("<h3>https://keys.example/ada.keys (1)</h3>")
        .says("<h3>named</h3>")
        .says(&one.fingerprint().to_string())
        .says(&two.fingerprint().to_string());
    for (url, words) in [
        ("http://keys.example/", "over https only"),
        ("https://other.example/", "The host other.example could not be read."),
        ("nonsense", "not an address like"),
    ] {
        let page = visit.post("/keys", &[("url", url)]).await;
        assert_eq!(page.status, 422);
        page.says(words).says(url);
    }
}

#[tokio::test]
async fn a_project_is_made_and_says_how_to_log_in() {
    let served = Served::new().await;
    let (_, by_ada, mut visit) = served.person("ada").await;
    visit.get("/projects").await.says("No project yet").says("You have no SSH key yet");
    visit.post("/projects", &[("title", "")]).await.says("A title cannot be empty");
    visit
        .post("/projects", &[("title", "T"), ("alias", "root")])
        .await
        .says("This alias is not taken: root is reserved.")
        .says("value=\"T\"");
    let answer = visit.post("/projects", &[("title", "Climate"), ("alias", "climate")]).await;
    let project = served.site.operations.find_project(&by_ada, "climate").await.unwrap().project.id;
    assert_eq!(answer.location(), format!("/projects/{project}?done=made"));
    let page = visit.get(answer.location()).await;
    page.says("ssh -p 2222 climate@gateway.example.org")
        .says(&format!("ssh -p 2222 {project}@gateway.example.org"))
        .says("IdentitiesOnly yes")
        .says("AddKeysToAgent yes")
        .says("IgnoreUnknown UseKeychain")
        .says("[gateway.example.org]:2222 ssh-ed25519 ")
        .says("stopped");
    // By its alias too, and the list has the command.
    assert_eq!(visit.get("/projects/climate").await.status, 200);
    visit.get("/projects").await.says("ssh -p 2222 climate@gateway.example.org").says("owner");
    let path = format!("/projects/{project}");
    visit.post(&format!("{path}/change"), &[("title", "Weather"), ("alias", "")]).await;
    visit.get(&path).await.says("<h1>Weather</h1>").says("took the alias climate away");
    assert_eq!(visit.post(&format!("{path}/remove"), &[]).await.location(), "/projects?done=removed");
    assert_eq!(visit.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_project_is_started_and_stopped() {
    let served = Served::new().await;
    let (ada, _, mut visit) = served.person("ada").await;
    let path = format!("/projects/{}", served.site.project(ada, "climate").await);
    assert_eq!(visit.post(&format!("{path}/start"), &[]).await.location(), format!("{path}?done=started"));
    visit.get(&format!("{path}/live")).await.says("running").says("/stop").says_not("<html");
    visit.get(&path).await.says("started the project");
    assert_eq!(visit.post(&format!("{path}/stop"), &[]).await.location(), format!("{path}?done=stopped"));
    visit.get(&format!("{path}/live")).await.says("stopped");
    *served.environments.broken.lock().unwrap() = Some(RunningError::Unreachable);
    visit.get(&path).await.says("unknown");
    let answer = visit.post(&format!("{path}/start"), &[]).await;
    assert_eq!(answer.status, 503);
    answer.says("do not answer now");
}

#[tokio::test]
async fn members_and_their_sessions_are_the_owners_to_decide() {
    let served = Served::new().await;
    let (ada, by_ada, mut owner) = served.person("ada").await;
    let (bob, _, mut member) = served.person("bob").await;
    let (_, _, mut stranger) = served.person("eve").await;
    let project = served.site.project(ada, "climate").await;
    let path = format!("/projects/{project}");
    let add = [("name", "bob"), ("role", "collaborator")];
    assert_eq!(
        owner.post(&format!("{path}/members"), &add).await.location(),
        format!("{path}?done=member-added")
    );
    owner.post(&format!("{path}/members"), &add).await.says("The account bob is a member already.");
    owner.post(&format!("{path}/members"), &[("name", "nobody")]).await.says("send an invitation instead");
    // A collaborator sees, and has no forms for what owners decide.
    let page = member.get(&path).await;
    page.says("ada").says_not("Add a member").says_not("Remove the project").says("Leave the project");
    let session = served.site.ssh_session(ada, project).await;
    let own = served.site.ssh_session(bob, project).await;
    owner.get(&path).await.says(&format!("sessions/{session}/end")).says("198.51.100.4");
    member.get(&format!("{path}/live")).await.says(&own.to_string()).says_not(&session.to_string());
    for (form, fields) in [
        ("change", [("title", "x")].as_slice()),
        ("remove", &[]),
        ("members", &[("name", "eve")]),
        ("invitations", &[]),
        (&*format!("members/{ada}/remove"), &[]),
        (&*format!("members/{bob}/role"), &[("role", "owner")]),
        (&*format!("sessions/{session}/end"), &[]),
    ] {
        let answer = member.post(&format!("{path}/{form}"), fields).await;
        assert_eq!(answer.status, 403, "{form}");
        answer.says("Only an owner of the project can do this.");
    }
    // A stranger cannot tell it from one that is not there.
    let nothing = format!("/projects/{}", "0".repeat(32));
    for form in ["", "/live", "/start", "/stop", "/keys", "/members", "/remove", "/invitations"] {
        let fields = [("name", "x"), ("key", "x")];
        let (real, none) = match form {
            "" | "/live" => (
                stranger.get(&format!("{path}{form}")).await,
                stranger.get(&format!("{nothing}{form}")).await,
            ),
            _ => (
                stranger.post(&format!("{path}{form}"), &fields).await,
                stranger.post(&format!("{nothing}{form}"), &fields).await,
            ),
        };
        assert_eq!((real.status, &real.body), (404, &none.body), "{form}");
        assert_eq!(none.status, 404, "{form}");
    }
    assert_eq!(member.post(&format!("{path}/sessions/{own}/end"), &[]).await.status, 303);
    assert_eq!(owner.post(&format!("{path}/sessions/{session}/end"), &[]).await.status, 303);
    owner.post(&format!("{path}/members/{bob}/role"), &[("role", "owner")]).await;
    let role = served.site.store().members().find_role(project, bob).await.unwrap();
    assert_eq!(role, Some(Role::Owner));
    owner.post(&format!("{path}/members/{bob}/remove"), &[]).await;
    assert_eq!(served.site.operations.members(&by_ada, project).await.unwrap().len(), 1);
    owner.post(&format!("{path}/members/{ada}/remove"), &[]).await.says("the project&#39;s only owner");
}

#[tokio::test]
async fn project_keys_are_added_and_removed_on_the_projects_page() {
    let served = Served::new().await;
    let (ada, by_ada, mut owner) = served.person("ada").await;
    let project = served.site.project(ada, "climate").await;
    served.site.operations.add_member(&operator(), project, &name("ada"), Role::Owner).await.unwrap_err();
    let path = format!("/projects/{project}");
    let key = new_key();
    let answer = owner.post(&format!("{path}/keys"), &[("key", &key.to_line("robot"))]).await;
    assert_eq!(answer.location(), format!("{path}?done=key-added"));
    let id = served.site.operations.project_keys(&by_ada, project).await.unwrap()[0].id;
    owner.get(&path).await.says("<h3>robot</h3>").says(&key.fingerprint().to_string()).says("added the key");
    owner.get("/keys").await.says_not("robot");
    owner
        .post(&format!("{path}/keys"), &[("key", "nonsense")])
        .await
        .says("not a public key")
        .says("nonsense");
    let answer = owner.post(&format!("/keys/{id}/remove"), &[]).await;
    assert_eq!(answer.location(), format!("{path}?done=key-removed"));
}

#[tokio::test]
async fn somebody_elses_things_are_not_there() {
    let served = Served::new().await;
    let (ada, by_ada, _) = served.person("ada").await;
    let (_, _, mut eve) = served.person("eve").await;
    let key = served.site.key(ada).await;
    let session = served.site.operations.web_sessions(&by_ada).await.unwrap()[0].id;
    for (path, fields) in [
        (format!("/keys/{key}/remove"), [].as_slice()),
        (format!("/keys/{key}/change"), &[("title", "mine")]),
        (format!("/account/sessions/{session}/end"), &[]),
    ] {
        assert_eq!(eve.post(&path, fields).await.status, 404, "{path}");
    }
    assert_eq!(served.site.operations.account_keys(&by_ada, ada).await.unwrap().len(), 1);
}
