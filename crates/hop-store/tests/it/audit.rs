//! The audit trail: what changes leave in it, and that nobody changes it unseen.

use hop_store::{
    AccountId, Actor, AuditFault, AuditFilter, AuditVerdict, KeyOwner, NewAccount, Role, Through,
};
use serde_json::json;

use crate::site::{Site, at, both, name, new_key};

both! {
    changes_leave_their_rows
    the_trail_is_listed_in_pages
    rows_cannot_be_changed_or_removed
    tampering_is_found_at_its_first_row
    a_long_trail_verifies
    writers_at_once_make_one_chain
}

async fn changes_leave_their_rows(site: Site) {
    let ada = site.account("ada").await;
    let project = site.project(ada, None).await;
    let key = new_key();
    site.key(KeyOwner::Account(ada), &key, None).await;
    let actor = Actor::account(ada, Through::Portal, Some("2001:db8::1".parse().unwrap()));
    let mut change = site.store.change(actor, at(7)).await.unwrap();
    change.record("environment.start", None, Some(project), json!({ "took_ms": 12 })).await.unwrap();
    change.commit().await.unwrap();
    let trail = site.store.audit().list(AuditFilter::All, None, 10).await.unwrap();
    let actions: Vec<_> = trail.iter().rev().map(|row| (row.seq, row.action.as_str())).collect();
    let wanted = ["account.add", "project.add", "member.add", "key.add", "environment.start"];
    assert_eq!(actions, (1..).zip(wanted).collect::<Vec<_>>());
    let last = &trail[0];
    assert_eq!((last.at, last.actor, last.through), (at(7), Some(ada), Through::Portal));
    assert_eq!(last.address, Some("2001:db8::1".parse().unwrap()));
    assert_eq!((last.account, last.project, &last.detail), (None, Some(project), &json!({ "took_ms": 12 })));
    let added = &trail[1];
    assert_eq!(added.detail["fingerprint"], key.fingerprint().to_string());
    assert_eq!((added.actor, added.through, added.account), (None, Through::Site, Some(ada)));
}

async fn the_trail_is_listed_in_pages(site: Site) {
    let ada = site.account("ada").await;
    let (one, two) = (site.project(ada, None).await, site.project(ada, None).await);
    let bob = site.account("bob").await;
    let mut change = site.change(at(1)).await;
    change.members().add(two, bob, Role::Collaborator).await.unwrap();
    change.commit().await.unwrap();
    let seqs = async |filter, before, most| {
        let rows = site.store.audit().list(filter, before, most).await.unwrap();
        rows.into_iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(AuditFilter::All, None, 3).await, [7, 6, 5]);
    assert_eq!(seqs(AuditFilter::All, Some(5), 3).await, [4, 3, 2]);
    assert_eq!(seqs(AuditFilter::Project(one), None, 9).await, [3, 2]);
    assert_eq!(seqs(AuditFilter::Project(two), Some(7), 9).await, [5, 4]);
    assert_eq!(seqs(AuditFilter::Account(bob), None, 9).await, [7, 6]);
}

async fn rows_cannot_be_changed_or_removed(site: Site) {
    site.account("ada").await;
    for sql in [
        "UPDATE audit SET action = 'nothing' WHERE seq = 1",
        "DELETE FROM audit WHERE seq = 1",
        "DELETE FROM audit",
    ] {
        let error = site.run_raw(sql).await.expect_err(sql).to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
    if !site.is_sqlite() {
        let error = site.run_raw("TRUNCATE audit").await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
    assert_eq!(site.store.audit().list(AuditFilter::All, None, 9).await.unwrap().len(), 1);
}

/// Takes the triggers away, as somebody with the database's own tools can.
async fn disarm(site: &Site) {
    let sql = if site.is_sqlite() {
        "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete"
    } else {
        "ALTER TABLE audit DISABLE TRIGGER ALL"
    };
    site.run_raw(sql).await.unwrap();
}

async fn tampering_is_found_at_its_first_row(site: Site) {
    for text in ["ada", "bob", "eve", "fay", "gus"] {
        site.account(text).await;
    }
    let verdict = site.store.audit().verify().await.unwrap();
    let AuditVerdict::Intact { rows: 5, head } = verdict else { panic!("{verdict:?}") };
    disarm(&site).await;
    let altered = AuditFault::Altered;
    let hash = "0".repeat(64);
    let cases = [
        ("at = at + 1".to_owned(), "at = at - 1", altered),
        ("action = 'account.adD'".to_owned(), "action = 'account.add'", altered),
        ("actor = account".to_owned(), "actor = NULL", altered),
        // The same id in other letters.
        ("account = UPPER(account)".to_owned(), "account = LOWER(account)", altered),
        ("through = 'nowhere'".to_owned(), "through = 'site'", altered),
        ("detail = detail || ' '".to_owned(), "detail = TRIM(detail)", altered),
        ("address = ''".to_owned(), "address = NULL", altered),
    ];
    for (tamper, mend, fault) in cases {
        site.run_raw(&format!("UPDATE audit SET {tamper} WHERE seq = 3")).await.unwrap();
        let verdict = site.store.audit().verify().await.unwrap();
        assert_eq!(verdict, AuditVerdict::Broken { seq: 3, fault }, "{tamper}");
        site.run_raw(&format!("UPDATE audit SET {mend} WHERE seq = 3")).await.unwrap();
        let verdict = site.store.audit().verify().await.unwrap();
        assert_eq!(verdict, AuditVerdict::Intact { rows: 5, head: head.clone() }, "{mend}");
    }
    // Two rows exchanged, a row in the middle gone, the last gone, the head's note changed.
    let swap = "UPDATE audit SET seq = 30 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4;
                UPDATE audit SET seq = 4 WHERE seq = 30";
    site.run_raw(swap).await.unwrap();
    let broken = |seq, fault| AuditVerdict::Broken { seq, fault };
    assert_eq!(site.store.audit().verify().await.unwrap(), broken(3, altered));
    site.run_raw(swap).await.unwrap();
    site.run_raw(&format!("UPDATE site SET audit_hash = '{hash}'")).await.unwrap();
    assert_eq!(site.store.audit().verify().await.unwrap(), broken(5, AuditFault::Head));
    site.run_raw("DELETE FROM audit WHERE seq = 5").await.unwrap();
    assert_eq!(site.store.audit().verify().await.unwrap(), broken(5, AuditFault::Missing));
    site.run_raw("DELETE FROM audit WHERE seq = 2").await.unwrap();
    assert_eq!(site.store.audit().verify().await.unwrap(), broken(2, AuditFault::Missing));
    site.run_raw("DELETE FROM audit").await.unwrap();
    assert_eq!(site.store.audit().verify().await.unwrap(), broken(1, AuditFault::Missing));
}

async fn a_long_trail_verifies(site: Site) {
    assert!(matches!(site.store.audit().verify().await.unwrap(), AuditVerdict::Intact { rows: 0, .. }));
    let mut change = site.change(at(1)).await;
    for number in 0..2_500 {
        change.record("test.count", None, None, json!({ "number": number })).await.unwrap();
    }
    change.commit().await.unwrap();
    let verdict = site.store.audit().verify().await.unwrap();
    assert!(matches!(verdict, AuditVerdict::Intact { rows: 2_500, .. }), "{verdict:?}");
    disarm(&site).await;
    site.run_raw("UPDATE audit SET detail = '{\"number\":2000}' WHERE seq = 2002").await.unwrap();
    let verdict = site.store.audit().verify().await.unwrap();
    assert_eq!(verdict, AuditVerdict::Broken { seq: 2002, fault: AuditFault::Altered });
}

async fn writers_at_once_make_one_chain(site: Site) {
    let other = site.another_process().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..6_u8 {
        let store = if writer % 2 == 0 { site.store.clone() } else { other.clone() };
        writers.spawn(async move {
            for number in 0..10_u8 {
                let id = AccountId::new(at(0), [writer, number, 0, 0, 0, 0, 0, 0, 0, 0]);
                let mut change = store.change(Actor::site(), at(1)).await.unwrap();
                let new = NewAccount { id, name: name(&format!("w{writer}-{number}")), admin: false };
                change.accounts().add(&new).await.unwrap();
                change.commit().await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let verdict = site.store.audit().verify().await.unwrap();
    assert!(matches!(verdict, AuditVerdict::Intact { rows: 60, .. }), "{verdict:?}");
}
