//! SSH sessions: their record from begin to end, and what a lost gateway leaves behind.

use hop_store::{
    AccountId, EndCause, GatewayId, KeyOwner, NewSshSession, ProjectId, SessionEnd, SessionFilter,
    SshSessionId, Timestamp,
};

use crate::site::{Site, at, both, new_key};

both! {
    a_session_is_recorded_from_begin_to_end
    sessions_are_listed
    a_lost_gateway_leaves_nothing_open
}

fn new(
    site: &Site,
    gateway: GatewayId,
    account: AccountId,
    project: ProjectId,
    started: Timestamp,
) -> NewSshSession {
    NewSshSession {
        id: site.ssh_session_id(started),
        gateway,
        account,
        project,
        source_project: None,
        key: None,
        key_fingerprint: new_key().fingerprint(),
        key_title: "laptop".to_owned(),
        client: "[2001:db8::1]:50000".parse().unwrap(),
        started,
    }
}

fn end(at: Timestamp, cause: EndCause) -> SessionEnd {
    SessionEnd { at, cause, detail: "the key \"laptop\" was removed".to_owned() }
}

async fn a_session_is_recorded_from_begin_to_end(site: Site) {
    let ada = site.account("ada").await;
    let (project, source) = (site.project(ada, None).await, site.project(ada, None).await);
    let key = new_key();
    let id = site.key(KeyOwner::Account(ada), &key, None).await;
    let session = NewSshSession {
        key: Some(id),
        key_fingerprint: key.fingerprint(),
        source_project: Some(source),
        ..new(&site, site.gateway_id(), ada, project, at(5))
    };
    let sessions = site.store.ssh_sessions();
    sessions.open(&session).await.unwrap();
    let found = sessions.find_by_id(session.id).await.unwrap().unwrap();
    assert_eq!((found.account, found.project, found.source_project), (ada, project, Some(source)));
    assert_eq!((found.key_fingerprint, found.key_title.as_str()), (key.fingerprint(), "laptop"));
    assert_eq!((found.client, found.started, found.end), (session.client, at(5), None));
    let used = site.store.keys().find_by_id(id).await.unwrap().unwrap().last_use.unwrap();
    assert_eq!((used.at, used.address, used.project), (at(5), session.client.ip(), Some(project)));

    sessions.note_bytes(session.id, 10, 20).await.unwrap();
    let found = sessions.find_by_id(session.id).await.unwrap().unwrap();
    assert_eq!((found.bytes_from_client, found.bytes_to_client), (10, 20));
    assert!(sessions.close(session.id, u64::MAX, 30, &end(at(9), EndCause::Revoked)).await.unwrap());
    // Nothing changes an ended session.
    assert!(!sessions.close(session.id, 0, 0, &end(at(10), EndCause::Client)).await.unwrap());
    sessions.note_bytes(session.id, 1, 1).await.unwrap();
    assert!(!sessions.close(site.ssh_session_id(at(5)), 0, 0, &end(at(9), EndCause::Client)).await.unwrap());
    let found = sessions.find_by_id(session.id).await.unwrap().unwrap();
    assert_eq!(found.end, Some(end(at(9), EndCause::Revoked)));
    assert_eq!((found.bytes_from_client, found.bytes_to_client), (u64::MAX / 2, 30));
    // A session that begins twice is one error, not two sessions.
    assert!(sessions.open(&session).await.is_err());
}

async fn sessions_are_listed(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let (one, two) = (site.project(ada, None).await, site.project(ada, None).await);
    let gateway = site.gateway_id();
    let sessions = site.store.ssh_sessions();
    let mut ids: Vec<SshSessionId> = Vec::new();
    for (second, account, project) in [(1, ada, one), (2, bob, one), (3, ada, two), (4, bob, two)] {
        let session = new(&site, gateway, account, project, at(second));
        sessions.open(&session).await.unwrap();
        ids.push(session.id);
    }
    sessions.close(ids[1], 0, 0, &end(at(5), EndCause::Client)).await.unwrap();
    let live = async |filter| {
        let list = sessions.list_live(filter, 10).await.unwrap();
        list.into_iter().map(|s| s.id).collect::<Vec<_>>()
    };
    assert_eq!(live(SessionFilter::All).await, [ids[0], ids[2], ids[3]]);
    assert_eq!(live(SessionFilter::Account(bob)).await, [ids[3]]);
    assert_eq!(live(SessionFilter::Project(one)).await, [ids[0]]);
    let listed = async |filter, before| {
        let list = sessions.list(filter, before, 3).await.unwrap();
        list.into_iter().map(|s| s.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(SessionFilter::All, None).await, [ids[3], ids[2], ids[1]]);
    assert_eq!(listed(SessionFilter::All, Some(ids[1])).await, [ids[0]]);
    assert_eq!(listed(SessionFilter::Account(bob), None).await, [ids[3], ids[1]]);
    assert_eq!(listed(SessionFilter::Project(two), Some(ids[3])).await, [ids[2]]);
}

async fn a_lost_gateway_leaves_nothing_open(site: Site) {
    let ada = site.account("ada").await;
    let project = site.project(ada, None).await;
    let (lost, other) = (site.gateway_id(), site.gateway_id());
    let sessions = site.store.ssh_sessions();
    let mut ids = Vec::new();
    for gateway in [lost, lost, other] {
        let session = new(&site, gateway, ada, project, at(1));
        sessions.open(&session).await.unwrap();
        ids.push(session.id);
    }
    sessions.note_bytes(ids[0], 7, 8).await.unwrap();
    assert_eq!(sessions.list_gateways().await.unwrap(), [lost, other]);
    assert_eq!(sessions.close_lost(lost, at(9)).await.unwrap(), 2);
    assert_eq!(sessions.close_lost(lost, at(10)).await.unwrap(), 0);
    assert_eq!(sessions.list_gateways().await.unwrap(), [other]);
    let found = sessions.find_by_id(ids[0]).await.unwrap().unwrap();
    assert_eq!(found.end.map(|end| (end.at, end.cause)), Some((at(9), EndCause::Lost)));
    assert_eq!((found.bytes_from_client, found.bytes_to_client), (7, 8), "what was noted stays");
    assert_eq!(sessions.list_live(SessionFilter::All, 10).await.unwrap().len(), 1);
}
