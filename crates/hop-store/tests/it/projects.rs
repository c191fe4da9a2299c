//! Projects: names, aliases and their rest, states.

use hop_store::{Environment, KeyOwner, ProjectError, ProjectId, ProjectState, RevocationSeq, Revoked, Role};

use crate::site::{Site, alias, at, both, new_key, title};

/// 90 days.
const REST: i64 = 90 * 24 * 60 * 60;

both! {
    a_project_is_found_by_each_of_its_names
    an_alias_belongs_to_one_project
    a_freed_alias_rests
    a_project_changes
    a_removed_project_is_gone_for_everybody
    projects_are_listed
    two_takers_of_one_alias
}

async fn a_project_is_found_by_each_of_its_names(site: Site) {
    let ada = site.account("ada").await;
    let id = site.project(ada, Some(alias("climate"))).await;
    let other = site.project(ada, None).await;
    let project = site.store.projects().find_by_id(id).await.unwrap().unwrap();
    assert_eq!(project.alias, Some(alias("climate")));
    assert_eq!(project.environment.settings, serde_json::json!({ "network": "none" }));
    let digits = id.to_string();
    let (a, rest) = digits.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    for name in [&digits, &format!("{a}-{b}-{c}-{d}-{e}"), &digits.to_uppercase(), "climate"] {
        let found = site.store.projects().find_by_name(name).await.unwrap();
        assert_eq!(found.as_ref(), Some(&project), "{name}");
    }
    for name in ["", "Climate", "climat", "weather", "jump", "%", &digits[1..], "x' OR '1'='1"] {
        assert_eq!(site.store.projects().find_by_name(name).await.unwrap(), None, "{name}");
    }
    assert_ne!(site.store.projects().find_by_name(&other.to_string()).await.unwrap(), Some(project));
}

async fn an_alias_belongs_to_one_project(site: Site) {
    let ada = site.account("ada").await;
    let first = site.project(ada, Some(alias("climate"))).await;
    let second = site.project(ada, None).await;
    let mut change = site.change(at(1)).await;
    let refused = change.projects().set_alias(second, Some(&alias("climate"))).await;
    assert!(matches!(refused, Err(ProjectError::AliasTaken { .. })), "{refused:?}");
    let new = site.new_project(ada, Some(alias("climate")));
    let refused = change.projects().add(&new).await;
    assert!(matches!(refused, Err(ProjectError::AliasTaken { .. })), "{refused:?}");
    // One's own alias again is nothing.
    change.projects().set_alias(first, Some(&alias("climate"))).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(site.store.projects().find_by_id(new.id).await.unwrap(), None);
}

async fn a_freed_alias_rests(site: Site) {
    let ada = site.account("ada").await;
    let first = site.project(ada, Some(alias("climate"))).await;
    let second = site.project(ada, None).await;
    let set = async |now, project: ProjectId, text: Option<&str>| {
        let mut change = site.change(now).await;
        let done = change.projects().set_alias(project, text.map(alias).as_ref()).await;
        change.commit().await.unwrap();
        done
    };
    set(at(100), first, Some("weather")).await.unwrap();
    assert_eq!(site.store.projects().find_by_name("climate").await.unwrap(), None, "freed");
    let refused = set(at(100 + REST - 1), second, Some("climate")).await;
    assert!(
        matches!(&refused, Err(ProjectError::AliasRests { until, .. }) if *until == at(100 + REST)),
        "{refused:?}"
    );
    // Whose it was may have it back.
    set(at(200), first, Some("climate")).await.unwrap();
    // Weather rests now; climate rests anew when it is freed again.
    assert!(set(at(201), second, Some("weather")).await.is_err());
    set(at(300), first, None).await.unwrap();
    assert!(set(at(100 + REST), second, Some("climate")).await.is_err());
    set(at(300 + REST), second, Some("climate")).await.unwrap();
    let found = site.store.projects().find_by_name("climate").await.unwrap().unwrap();
    assert_eq!(found.id, second);
    // It is not the first one's any more.
    let refused = set(at(301 + REST), first, Some("climate")).await;
    assert!(matches!(refused, Err(ProjectError::AliasTaken { .. })));
}

async fn a_project_changes(site: Site) {
    let ada = site.account("ada").await;
    let id = site.project(ada, None).await;
    let environment =
        Environment { kind: "slurm".to_owned(), settings: serde_json::json!({ "cpus": [1, 2] }) };
    let mut change = site.change(at(1)).await;
    change.projects().set_title(id, &title("Klima")).await.unwrap();
    change.projects().set_environment(id, &environment).await.unwrap();
    change.projects().suspend(id).await.unwrap();
    change.projects().suspend(id).await.unwrap();
    change.commit().await.unwrap();
    let project = site.store.projects().find_by_id(id).await.unwrap().unwrap();
    assert_eq!((project.title, project.environment), (title("Klima"), environment));
    assert_eq!(project.state, ProjectState::Suspended);
    let revoked = site.store.revocations().since(RevocationSeq::START, 10).await.unwrap();
    assert_eq!(
        revoked.into_iter().map(|r| r.revoked).collect::<Vec<_>>(),
        [Revoked::Project { project: id }]
    );
    let mut change = site.change(at(2)).await;
    change.projects().activate(id).await.unwrap();
    change.commit().await.unwrap();
    let project = site.store.projects().find_by_name(&id.to_string()).await.unwrap().unwrap();
    assert_eq!(project.state, ProjectState::Active);
}

async fn a_removed_project_is_gone_for_everybody(site: Site) {
    let ada = site.account("ada").await;
    let id = site.project(ada, Some(alias("climate"))).await;
    let key = new_key();
    let owner = KeyOwner::Project { project: id, holder: ada };
    site.key(owner, &key, None).await;
    let mut change = site.change(at(1)).await;
    change.projects().remove(id).await.unwrap();
    let again = change.projects().remove(id).await;
    assert!(matches!(again, Err(ProjectError::Absent { .. })), "{again:?}");
    change.commit().await.unwrap();
    for name in ["climate", &id.to_string()] {
        assert_eq!(site.store.projects().find_by_name(name).await.unwrap(), None, "{name}");
    }
    assert_eq!(site.store.projects().find_by_id(id).await.unwrap().unwrap().state, ProjectState::Removed);
    assert!(site.store.keys().find_by_fingerprint(key.fingerprint()).await.unwrap().is_empty());
    assert!(site.store.projects().list_of_account(ada).await.unwrap().is_empty());
    let revoked = site.store.revocations().since(RevocationSeq::START, 10).await.unwrap();
    assert_eq!(
        revoked.into_iter().map(|r| r.revoked).collect::<Vec<_>>(),
        [Revoked::Key { fingerprint: key.fingerprint(), owner }, Revoked::Project { project: id }]
    );
    // Its alias rests like any other.
    let other = site.project(ada, None).await;
    let refused = site.change(at(2)).await.projects().set_alias(other, Some(&alias("climate"))).await;
    assert!(matches!(refused, Err(ProjectError::AliasRests { .. })), "{refused:?}");
}

async fn projects_are_listed(site: Site) {
    let (ada, bob) = (site.account("ada").await, site.account("bob").await);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(site.project(ada, None).await);
    }
    let mut change = site.change(at(1)).await;
    change.members().add(ids[3], bob, Role::Collaborator).await.unwrap();
    change.commit().await.unwrap();
    let of_bob = site.store.projects().list_of_account(bob).await.unwrap();
    assert_eq!(
        of_bob.iter().map(|(p, role)| (p.id, *role)).collect::<Vec<_>>(),
        [(ids[3], Role::Collaborator)]
    );
    assert_eq!(site.store.projects().list_of_account(ada).await.unwrap().len(), 5);
    let first = site.store.projects().list(None, 3).await.unwrap();
    let rest = site.store.projects().list(Some(first[2].id), 3).await.unwrap();
    assert_eq!(first.into_iter().chain(rest).map(|p| p.id).collect::<Vec<_>>(), ids);
    assert_eq!(site.store.projects().count().await.unwrap(), 5);
}

async fn two_takers_of_one_alias(site: Site) {
    let ada = site.account("ada").await;
    let (one, two) = (site.project(ada, None).await, site.project(ada, None).await);
    let other = site.another_process().await;
    let take = async |store: &hop_store::Store, project| {
        let mut change = store.change(hop_store::Actor::site(), at(1)).await.unwrap();
        let taken = change.projects().set_alias(project, Some(&alias("climate"))).await;
        change.commit().await.unwrap();
        taken.is_ok()
    };
    let (first, second) = tokio::join!(take(&site.store, one), take(&other, two));
    assert!(first != second, "exactly one has it: {first} {second}");
}
