use super::*;
use hop_store::{AccountName, Environment, ProjectId, Role, Title};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn account(number: u8) -> AccountId {
    AccountId::new(NOW, [number; 10])
}

fn project(number: u8, state: ProjectState) -> Project {
    Project {
        id: ProjectId::new(NOW, [number; 10]),
        alias: None,
        title: Title::parse("Climate").unwrap(),
        state,
        environment: Environment { kind: "process".to_owned(), settings: serde_json::Value::Null },
        created: NOW,
    }
}

/// One owner of the key: an account's own unless it is said to be a project's.
fn owner(number: u8, role: Option<Role>) -> KeyStanding {
    KeyStanding {
        key: KeyId::new(NOW, [number; 10]),
        owner: KeyOwner::Account(account(number)),
        title: Title::parse("laptop").unwrap(),
        expires: None,
        account: Standing {
            id: account(number),
            name: AccountName::parse("ada").unwrap(),
            state: AccountState::Active,
            role,
        },
    }
}

fn suspended(mut standing: KeyStanding) -> KeyStanding {
    standing.account.state = AccountState::Suspended;
    standing
}

fn until(mut standing: KeyStanding, micros: i64) -> KeyStanding {
    standing.expires = Some(Timestamp::from_micros(micros));
    standing
}

fn of_project(mut standing: KeyStanding, project: u8) -> KeyStanding {
    let holder = standing.account.id;
    standing.owner = KeyOwner::Project { project: ProjectId::new(NOW, [project; 10]), holder };
    standing
}

fn fingerprint() -> Fingerprint {
    Fingerprint::parse("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU").unwrap()
}

#[test]
fn who_enters_a_project() {
    let active = || Some(project(1, ProjectState::Active));
    let (owns, helps) = (Some(Role::Owner), Some(Role::Collaborator));
    // (the project, the key's owners, who is let in or why not)
    let table = [
        (active(), vec![owner(1, owns)], Ok(1)),
        (active(), vec![owner(1, helps)], Ok(1)),
        (active(), vec![], Err(Denied::NoOwner)),
        (active(), vec![owner(1, None)], Err(Denied::NoOwner)),
        (active(), vec![suspended(owner(1, owns))], Err(Denied::NoOwner)),
        (active(), vec![until(owner(1, owns), 1_000_001)], Ok(1)),
        (active(), vec![until(owner(1, owns), 1_000_000)], Err(Denied::NoOwner)),
        (active(), vec![of_project(owner(1, owns), 1)], Ok(1)),
        (active(), vec![of_project(owner(1, owns), 2)], Err(Denied::NoOwner)),
        (active(), vec![of_project(owner(1, None), 1)], Err(Denied::NoOwner)),
        // A key of several: the first whom it lets in answers for what is done.
        (active(), vec![owner(1, None), owner(2, helps), owner(3, owns)], Ok(2)),
        (active(), vec![suspended(owner(1, owns)), until(owner(2, owns), 1), owner(3, owns)], Ok(3)),
        (None, vec![owner(1, owns)], Err(Denied::NoProject)),
        (Some(project(1, ProjectState::Removed)), vec![owner(1, owns)], Err(Denied::NoProject)),
        (Some(project(1, ProjectState::Suspended)), vec![owner(1, owns)], Err(Denied::ProjectSuspended)),
    ];
    for (number, (project, owners, expected)) in table.into_iter().enumerate() {
        let facts = KeyAccess { as_of: RevocationSeq::START, project, owners };
        let judged = authorize(&facts, fingerprint(), NOW).map(|grant| grant.pass().account());
        assert_eq!(judged, expected.map(account), "row {number}");
    }
}

#[test]
fn who_comes_to_the_door() {
    let owns = Some(Role::Owner);
    let table = [
        (vec![owner(1, None)], true),
        (vec![owner(1, owns)], true),
        (vec![], false),
        (vec![suspended(owner(1, owns))], false),
        (vec![until(owner(1, None), 1)], false),
        // A project's own key opens that project, and nothing else.
        (vec![of_project(owner(1, owns), 1)], false),
        (vec![of_project(owner(1, owns), 1), owner(2, None)], true),
    ];
    for (number, (owners, comes)) in table.into_iter().enumerate() {
        let facts = KeyAccess { as_of: RevocationSeq::START, project: None, owners };
        assert_eq!(authorize_jump(&facts, fingerprint(), NOW).is_ok(), comes, "row {number}");
    }
}
