//! The order of revocations under concurrent writers, and those who follow.

use std::time::{Duration, Instant};

use hop_keys::Fingerprint;
use hop_store::{
    Actor, KeyOwner, NewAccount, Revocation, RevocationFeed, RevocationSeq, Revoked, Store, StoreError,
};
use tokio::time::timeout;

use crate::site::{Raw, Site, at, both, name};

/// The bound of the contract: taking access away is heard of within this.
const BOUND: Duration = Duration::from_secs(2);

both! {
    every_kind_is_read_as_it_was_written
    numbers_become_visible_in_order
    a_follower_misses_nothing_of_many_writers
    a_follower_hears_of_its_own_process_and_of_others
    a_follower_is_woken_and_does_not_wait_for_its_turn
    a_follower_begins_where_it_is_told
    a_dropped_change_takes_no_number
}

async fn revoke(store: &Store, serial: u64) -> Result<(), StoreError> {
    let mut change = store.change(Actor::site(), at(1)).await?;
    change.revoke(Revoked::Certificate { serial }).await?;
    change.commit().await
}

async fn next(feed: &mut RevocationFeed) -> Vec<Revocation> {
    timeout(BOUND, feed.next()).await.expect("heard of within the bound").unwrap()
}

fn numbers(revocations: &[Revocation]) -> Vec<i64> {
    revocations.iter().map(|revocation| revocation.seq.as_i64()).collect()
}

async fn every_kind_is_read_as_it_was_written(site: Site) {
    let (account, project) = (site.account_id(), site.project_id());
    let fingerprint = Fingerprint::from_bytes([7; 32]);
    let all = [
        Revoked::Key { fingerprint, owner: KeyOwner::Account(account) },
        Revoked::Key { fingerprint, owner: KeyOwner::Project { project, holder: account } },
        Revoked::Expiry { fingerprint, owner: KeyOwner::Account(account) },
        Revoked::Member { project, account },
        Revoked::Project { project },
        Revoked::Account { account },
        Revoked::Certificate { serial: u64::MAX },
        Revoked::Session { session: site.ssh_session_id(at(0)) },
    ];
    let mut change = site.change(at(3)).await;
    for revoked in &all {
        change.revoke(revoked.clone()).await.unwrap();
    }
    change.commit().await.unwrap();
    let read = site.store.revocations().since(RevocationSeq::START, 100).await.unwrap();
    assert_eq!(numbers(&read), (1..=8).collect::<Vec<_>>());
    assert!(read.iter().all(|revocation| revocation.at == at(3)));
    assert_eq!(read.into_iter().map(|r| r.revoked).collect::<Vec<_>>(), all);
    assert_eq!(site.store.revocations().last_seq().await.unwrap().as_i64(), 8);
    let middle = site.store.revocations().since(RevocationSeq::START, 3).await.unwrap();
    let rest = site.store.revocations().since(middle[2].seq, 3).await.unwrap();
    assert_eq!(numbers(&rest), [4, 5, 6]);
}

async fn numbers_become_visible_in_order(site: Site) {
    let other = site.another_process().await;
    let mut first = site.change(at(1)).await;
    first.revoke(Revoked::Certificate { serial: 1 }).await.unwrap();
    // The second begins while the first is open; it must not overtake.
    let second = tokio::spawn(async move { revoke(&other, 2).await });
    let third = site.another_process().await;
    assert_eq!(third.revocations().last_seq().await.unwrap(), RevocationSeq::START);
    assert!(third.revocations().since(RevocationSeq::START, 10).await.unwrap().is_empty());
    assert!(!second.is_finished(), "it waits");
    first.commit().await.unwrap();
    second.await.unwrap().unwrap();
    let seen = third.revocations().since(RevocationSeq::START, 10).await.unwrap();
    let serials: Vec<_> = seen.iter().map(|r| r.revoked.clone()).collect();
    assert_eq!(numbers(&seen), [1, 2]);
    assert_eq!(serials, [Revoked::Certificate { serial: 1 }, Revoked::Certificate { serial: 2 }]);
}

async fn a_follower_misses_nothing_of_many_writers(site: Site) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 25;
    let other = site.another_process().await;
    let mut feed = other.revocations().follow(RevocationSeq::START).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        // Half of them in the follower's process, half in another.
        let store = if writer % 2 == 0 { site.store.clone() } else { other.clone() };
        writers.spawn(async move {
            for number in 0..EACH {
                revoke(&store, writer * EACH + number).await.unwrap();
            }
        });
    }
    let mut seen = Vec::new();
    while (seen.len() as u64) < WRITERS * EACH {
        seen.extend(next(&mut feed).await);
    }
    writers.join_all().await;
    assert_eq!(numbers(&seen), (1..=200).collect::<Vec<_>>(), "in order, each once, none missing");
}

async fn a_follower_hears_of_its_own_process_and_of_others(site: Site) {
    let other = site.another_process().await;
    let mut feed = site.store.revocations().follow(RevocationSeq::START).await.unwrap();
    for serial in 0..3 {
        revoke(&site.store, serial).await.unwrap();
        assert_eq!(next(&mut feed).await[0].revoked, Revoked::Certificate { serial });
        revoke(&other, serial + 100).await.unwrap();
        assert_eq!(next(&mut feed).await[0].revoked, Revoked::Certificate { serial: serial + 100 });
    }
    // What takes nothing away wakes nobody for nothing.
    let mut change = site.change(at(1)).await;
    let new = NewAccount { id: site.account_id(), name: name("ada"), admin: false };
    change.accounts().add(&new).await.unwrap();
    change.commit().await.unwrap();
    assert!(timeout(Duration::from_millis(600), feed.next()).await.is_err());
}

async fn a_follower_is_woken_and_does_not_wait_for_its_turn(site: Site) {
    const ROUNDS: u32 = 20;
    // SQLite wakes followers of its own process only; PostgreSQL those of others, too.
    let (writer, interval) = if site.is_sqlite() {
        (site.store.clone(), Duration::from_millis(250))
    } else {
        (site.another_process().await, Duration::from_secs(1))
    };
    let mut feed = site.store.revocations().follow(RevocationSeq::START).await.unwrap();
    let begin = Instant::now();
    for serial in 0..ROUNDS {
        revoke(&writer, serial.into()).await.unwrap();
        next(&mut feed).await;
    }
    // Looking once per interval, it would take as many intervals as rounds.
    let took = begin.elapsed();
    assert!(took < interval * ROUNDS / 2, "{took:?}");
}

async fn a_follower_begins_where_it_is_told(site: Site) {
    for serial in 0..4 {
        revoke(&site.store, serial).await.unwrap();
    }
    let middle = site.store.revocations().since(RevocationSeq::START, 2).await.unwrap()[1].seq;
    let mut feed = site.store.revocations().follow(middle).await.unwrap();
    assert_eq!(numbers(&next(&mut feed).await), [3, 4]);
}

async fn a_dropped_change_takes_no_number(site: Site) {
    let mut change = site.change(at(1)).await;
    change.revoke(Revoked::Certificate { serial: 1 }).await.unwrap();
    drop(change);
    revoke(&site.store, 2).await.unwrap();
    let seen = site.store.revocations().since(RevocationSeq::START, 10).await.unwrap();
    assert_eq!(numbers(&seen), [1]);
    assert_eq!(seen[0].revoked, Revoked::Certificate { serial: 2 });
}

/// Broken connections are told and mended; nothing is lost meanwhile.
#[tokio::test]
async fn a_follower_survives_the_loss_of_its_connections() {
    let site = Site::postgres().await;
    let Raw::Postgres(raw) = &site.raw else { panic!("a PostgreSQL site") };
    let mut feed = site.store.revocations().follow(RevocationSeq::START).await.unwrap();
    revoke(&site.store, 1).await.unwrap();
    assert_eq!(numbers(&next(&mut feed).await), [1]);
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::raw_sql(kill).execute(raw).await.unwrap();
    // Written by a process whose connections are new, read by the one that lost all.
    revoke(&site.another_process().await, 2).await.unwrap();
    let mut seen = Vec::new();
    while seen.is_empty() {
        // An error may be told first; the next look succeeds.
        if let Ok(batch) = timeout(Duration::from_secs(10), feed.next()).await.expect("within ten seconds") {
            seen = batch;
        }
    }
    assert_eq!(numbers(&seen), [2]);
}
