//! Signing in and out through the pages.

use std::time::Duration;

use hop_portal::Limits;

use crate::served::{Served, Setup};
use crate::site::{PASSWORD, operator};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_link_asks_first_and_signs_in_once() {
    let served = Served::new().await;
    let (ada, _) = served.site.account("ada").await;
    let link = served.site.operations.make_sign_in_link(&operator(), ada, HOUR).await.unwrap();
    let url = served.names.sign_in_link(&link.token);
    let path = url.strip_prefix(served.names.origin()).unwrap();
    let mut visit = served.visit();
    // Looked at by mail scanners, it stays good.
    for _ in 0..3 {
        let page = visit.get(path).await;
        page.says("Sign in as ada");
        assert_eq!((page.status, page.header("set-cookie")), (200, None));
    }
    let answer = visit.post(path, &[]).await;
    assert_eq!((answer.status, answer.location()), (303, "/projects"));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("hop=") && cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    visit.get("/projects").await.says("ada").says("Sign out");
    let mut second = served.visit();
    for answer in [second.get(path).await, second.post(path, &[]).await] {
        assert_eq!((answer.status, answer.header("set-cookie")), (404, None));
        answer.says("no longer good");
    }
}

#[tokio::test]
async fn without_a_session_every_page_leads_to_the_sign_in() {
    let served = Served::new().await;
    let (ada, _) = served.site.account("ada").await;
    let project = served.site.project(ada, "climate").await;
    let mut visit = served.visit();
    for path in ["/projects", "/keys", "/account", &format!("/projects/{project}")] {
        let answer = visit.get(path).await;
        assert_eq!((answer.status, answer.location()), (303, &*format!("/sign-in?next={path}")));
    }
    for path in ["/keys", &format!("/projects/{project}/remove"), "/account/password", "/sign-out"] {
        let answer = visit.post(path, &[("key", "x")]).await;
        assert_eq!((answer.status, answer.location()), (303, "/sign-in"), "{path}");
    }
    visit.cookie = Some(format!("hop={}", "ab".repeat(32)));
    assert_eq!(visit.get("/keys").await.status, 303);
    // The live part of a page that is still open sends the whole page there.
    let headers = visit.headers(&[("HX-Request", "true")]);
    let answer = visit.ask("GET", &format!("/projects/{project}/live"), &headers, "").await;
    assert_eq!((answer.status, answer.header("hx-redirect")), (401, Some("/sign-in")));
}

#[tokio::test]
async fn a_password_is_set_asked_for_and_taken_away() {
    let served = Served::new().await;
    let (ada, _, mut visit) = served.person("ada").await;
    let mut elsewhere = served.signed_in(ada).await;
    let before = visit.cookie.clone();
    let form = [("new", PASSWORD), ("again", PASSWORD)];
    visit.post("/account/password", &[("new", PASSWORD), ("again", "x")]).await.says("not the same");
    visit.post("/account/password", &[("new", "short"), ("again", "short")]).await.says("at least 10");
    let answer = visit.post("/account/password", &form).await;
    assert_eq!(answer.location(), "/account?done=password");
    // The session is another one from here on, and the other browser's has ended.
    assert_ne!(visit.cookie, before);
    assert_eq!(visit.get("/account").await.status, 200);
    assert_eq!(elsewhere.get("/account").await.status, 303);
    visit.post("/account/password", &form).await.says("current password is not right");

    let mut fresh = served.visit();
    let wrong = fresh.post("/sign-in", &[("name", "ada"), ("password", "wrong")]).await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (403, None));
    wrong.says("The name or the password is not right.").says_not("wrong\"");
    let unknown = fresh.post("/sign-in", &[("name", "nobody"), ("password", "wrong")]).await;
    assert_eq!(unknown.body.replace("nobody", "ada"), wrong.body, "unknown and wrong look alike");
    let sign_in = [("name", "ada"), ("password", PASSWORD), ("next", "/keys")];
    assert_eq!(fresh.post("/sign-in", &sign_in).await.location(), "/keys");
    let sign_in = [("name", "ada"), ("password", PASSWORD), ("next", "//evil.example")];
    assert_eq!(fresh.post("/sign-in", &sign_in).await.location(), "/projects");
    let remove = [("remove", "yes"), ("current", PASSWORD)];
    assert_eq!(fresh.post("/account/password", &remove).await.location(), "/account?done=no-password");
}

#[tokio::test]
async fn wrong_passwords_from_one_address_run_out() {
    let limits = Limits { wrong_passwords: 3, ..Limits::default() };
    let served = Served::with(Setup { limits, ..Setup::default() }).await;
    let (ada, by_ada) = served.site.account("ada").await;
    served.site.operations.set_password(&by_ada, ada, None, Some(PASSWORD)).await.unwrap();
    let mut visit = served.visit();
    let right = [("name", "ada"), ("password", PASSWORD)];
    let wrong = [("name", "ada"), ("password", "wrong")];
    assert_eq!(visit.post("/sign-in", &right).await.status, 303);
    for _ in 0..3 {
        assert_eq!(visit.post("/sign-in", &wrong).await.status, 403);
    }
    for fields in [&right, &wrong] {
        let answer = visit.post("/sign-in", fields).await;
        assert_eq!(answer.status, 429);
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() <= 61);
    }
    served.site.pass(Duration::from_secs(61));
    assert_eq!(visit.post("/sign-in", &right).await.status, 303);
}

#[tokio::test]
async fn many_wrong_passwords_at_once_are_not_all_let_in() {
    let limits = Limits { wrong_passwords: 3, ..Limits::default() };
    let served = Served::with(Setup { limits, ..Setup::default() }).await;
    let tries = (0..20).map(|_| {
        let mut visit = served.visit();
        tokio::spawn(
            async move { visit.post("/sign-in", &[("name", "ada"), ("password", "wrong")]).await.status },
        )
    });
    let mut statuses = Vec::new();
    for task in tries.collect::<Vec<_>>() {
        statuses.push(task.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 403).count(), 3, "{statuses:?}");
}

#[tokio::test]
async fn signing_in_again_ends_the_browsers_old_session() {
    let served = Served::new().await;
    let (ada, _, mut visit) = served.person("ada").await;
    let (bob, _) = served.site.account("bob").await;
    let mut thief = visit.clone();
    let link = served.site.operations.make_sign_in_link(&operator(), bob, HOUR).await.unwrap();
    let path = format!("/sign-in/{}", link.token.expose_secret());
    visit.get(&path).await.says("You are signed in as ada in this browser. That ends.");
    visit.post(&path, &[]).await;
    visit.get("/account").await.says("bob");
    assert_eq!(thief.get("/account").await.status, 303, "the old token opens nothing");
    let sessions = served.site.store().web_sessions();
    assert!(sessions.list(ada, served.site.operations.now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn signing_out_here_there_and_everywhere() {
    let served = Served::new().await;
    let (ada, by_ada, mut here) = served.person("ada").await;
    let mut there = served.signed_in(ada).await;
    let token = here.cookie.clone();
    let sessions = served.site.operations.web_sessions(&by_ada).await.unwrap();
    let page = here.get("/account").await;
    for session in &sessions {
        page.says(&session.id.to_string());
    }
    assert_eq!(page.body.matches("this one").count(), 1);
    let answer = here.post("/sign-out", &[]).await;
    assert_eq!(answer.location(), "/sign-in?done=out");
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    // The cookie that a thief has kept opens nothing either.
    here.cookie = token;
    assert_eq!(here.get("/account").await.status, 303);
    let mut third = served.signed_in(ada).await;
    assert_eq!(there.post("/account/sessions/end", &[]).await.location(), "/sign-in?done=everywhere");
    assert_eq!(third.get("/account").await.status, 303);
    let mut last = served.signed_in(ada).await;
    let mut other = served.signed_in(ada).await;
    let found = served.site.operations.web_sessions(&by_ada).await.unwrap();
    // Each ends the other or itself, whichever comes first in the list.
    for session in &found {
        for visit in [&mut last, &mut other] {
            visit.post(&format!("/account/sessions/{}/end", session.id), &[]).await;
        }
    }
    assert_eq!((last.get("/keys").await.status, other.get("/keys").await.status), (303, 303));
}

#[tokio::test]
async fn a_suspended_account_is_out_at_once() {
    let served = Served::new().await;
    let (ada, _, mut visit) = served.person("ada").await;
    assert_eq!(visit.get("/keys").await.status, 200);
    served.site.operations.suspend_account(&operator(), ada).await.unwrap();
    assert_eq!(visit.get("/keys").await.status, 303);
}

#[tokio::test]
async fn an_invitation_is_taken_with_a_name() {
    let served = Served::new().await;
    let (ada, by_ada, mut by_page) = served.person("ada").await;
    let project = served.site.project(ada, "climate").await;
    let made = by_page.post(&format!("/projects/{project}/invitations"), &[("role", "collaborator")]).await;
    let at = made.body.find("/invitation/").unwrap();
    let path = made.body[at..at + 12 + 64].to_owned();
    by_page.get(&format!("/projects/{project}")).await.says_not(&path).says("Open invitations");
    let mut bob = served.visit();
    bob.get(&path).await.says("<strong>ada</strong> invites you").says("A project").says("a collaborator");
    bob.post(&path, &[("name", "Bob!")]).await.says("lower-case letters");
    bob.post(&path, &[("name", "ada")]).await.says("There is an account named ada already");
    let answer = bob.post(&path, &[("name", "bob")]).await;
    assert_eq!(answer.location(), format!("/projects/{project}"));
    bob.get(&format!("/projects/{project}")).await.says("bob");
    let members = served.site.operations.members(&by_ada, project).await.unwrap();
    assert_eq!(members.len(), 2);
    let mut late = served.visit();
    assert_eq!(late.get(&path).await.status, 404);
    assert_eq!(late.post(&path, &[("name", "eve")]).await.status, 404);
}
