//! Web sessions: idle end, absolute end, revocation; nothing in the database that opens one.

use std::time::Duration;

use hop_store::{AccountId, NewWebSession, Token, WebSessionId};

use crate::site::{Raw, Site, at, both};

both! {
    a_session_lives_while_it_is_used
    sessions_are_listed_and_revoked
    ended_sessions_are_forgotten
    a_token_is_nowhere_in_the_database
}

async fn add(site: &Site, account: AccountId) -> (WebSessionId, Token) {
    let (id, token) = (site.web_session_id(), site.token());
    let new = NewWebSession {
        id,
        token: token.hash(),
        account,
        idle: Duration::from_secs(10),
        expires: at(30),
        address: Some("192.0.2.1".parse().unwrap()),
        user_agent: "Firefox\r\n(X11)".to_owned(),
    };
    let mut change = site.change(at(0)).await;
    change.web_sessions().add(&new).await.unwrap();
    change.commit().await.unwrap();
    (id, token)
}

async fn a_session_lives_while_it_is_used(site: Site) {
    let ada = site.account("ada").await;
    let (id, token) = add(&site, ada).await;
    let live = async |now| site.store.web_sessions().find_by_token(token.hash(), now).await.unwrap();
    let (session, account) = live(at(1)).await.unwrap();
    assert_eq!((session.id, session.account, account.id), (id, ada, ada));
    assert_eq!((session.created, session.last_seen, session.idle_end), (at(0), at(0), at(10)));
    assert_eq!(session.user_agent, "Firefox  (X11)");
    assert!(live(at(9)).await.is_some());
    assert!(live(at(10)).await.is_none(), "idle");
    for now in [9, 18, 27] {
        site.store.web_sessions().touch(id, at(now), None).await.unwrap();
    }
    // An older use changes nothing.
    site.store.web_sessions().touch(id, at(5), None).await.unwrap();
    let (session, _) = live(at(29)).await.unwrap();
    assert_eq!((session.last_seen, session.address), (at(27), None));
    assert!(live(at(30)).await.is_none(), "over in any case");
    let other = site.store.web_sessions().find_by_token(site.token().hash(), at(1)).await.unwrap();
    assert!(other.is_none());
}

async fn sessions_are_listed_and_revoked(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let mut sessions = Vec::new();
    for account in [ada, ada, ada, bob] {
        sessions.push(add(&site, account).await.0);
    }
    site.store.web_sessions().touch(sessions[1], at(5), None).await.unwrap();
    let listed = async |account, now| {
        let list = site.store.web_sessions().list(account, now).await.unwrap();
        list.into_iter().map(|s| s.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(ada, at(6)).await, [sessions[1], sessions[0], sessions[2]]);
    assert_eq!(listed(ada, at(12)).await, [sessions[1]], "the others were idle for too long");
    let mut change = site.change(at(6)).await;
    assert!(!change.web_sessions().revoke(bob, sessions[0]).await.unwrap(), "not his");
    assert!(change.web_sessions().revoke(ada, sessions[0]).await.unwrap());
    assert!(!change.web_sessions().revoke(ada, sessions[0]).await.unwrap());
    assert_eq!(change.web_sessions().revoke_all(ada, Some(sessions[1])).await.unwrap(), 1);
    change.commit().await.unwrap();
    assert_eq!(listed(ada, at(6)).await, [sessions[1]]);
    let mut change = site.change(at(7)).await;
    assert_eq!(change.web_sessions().revoke_all(ada, None).await.unwrap(), 1);
    change.commit().await.unwrap();
    assert!(listed(ada, at(7)).await.is_empty());
    assert_eq!(listed(bob, at(7)).await, [sessions[3]]);
}

async fn ended_sessions_are_forgotten(site: Site) {
    let ada = site.account("ada").await;
    let first = add(&site, ada).await.0;
    add(&site, ada).await;
    site.store.web_sessions().touch(first, at(25), None).await.unwrap();
    for (now, wanted) in [(at(9), 0), (at(10), 1), (at(29), 0), (at(30), 1)] {
        let mut change = site.change(now).await;
        assert_eq!(change.web_sessions().remove_expired().await.unwrap(), wanted, "{now:?}");
        change.commit().await.unwrap();
    }
}

async fn a_token_is_nowhere_in_the_database(site: Site) {
    let ada = site.account("ada").await;
    let (_, token) = add(&site, ada).await;
    let secret = token.expose_secret();
    let sql = "SELECT COUNT(*) FROM web_sessions WHERE token_hash = $1 OR id = $1 OR token_hash LIKE '%' || $1 || '%'";
    let found: i64 = match &site.raw {
        Raw::Sqlite(pool) => sqlx::query_scalar(sql).bind(&secret).fetch_one(pool).await.unwrap(),
        Raw::Postgres(pool) => sqlx::query_scalar(sql).bind(&secret).fetch_one(pool).await.unwrap(),
    };
    assert_eq!(found, 0);
    // And what is there is no token.
    let sql = "SELECT token_hash FROM web_sessions";
    let stored: String = match &site.raw {
        Raw::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
        Raw::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
    };
    let stored = Token::parse(&stored).unwrap();
    assert!(site.store.web_sessions().find_by_token(stored.hash(), at(1)).await.unwrap().is_none());
}
