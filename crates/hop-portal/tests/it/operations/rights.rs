//! Who may do what in a project: one table for all of it.

use std::time::Duration;

use hop_portal::operations::{Caller, ErrorKind, KeyPlace, KeySource};
use hop_store::{AccountId, ProjectId, Role};

use crate::site::{Site, alias, name, new_key, operator, title, visitor};

/// The people of one project.
struct People {
    site: Site,
    project: ProjectId,
    owner: (AccountId, Caller),
    collaborator: (AccountId, Caller),
    stranger: (AccountId, Caller),
    admin: (AccountId, Caller),
}

impl People {
    async fn new() -> Self {
        let site = Site::new().await;
        let owner = site.account("owner").await;
        let collaborator = site.account("collaborator").await;
        let stranger = site.account("stranger").await;
        let admin = site.admin("root").await;
        let project = site.project(owner.0, "climate").await;
        let operations = &site.operations;
        operations.add_member(&operator(), project, &name("collaborator"), Role::Collaborator).await.unwrap();
        Self { site, project, owner, collaborator, stranger, admin }
    }

    fn callers(&self) -> [(&'static str, Caller); 6] {
        [
            ("operator", operator()),
            ("admin", self.admin.1.clone()),
            ("owner", self.owner.1.clone()),
            ("collaborator", self.collaborator.1.clone()),
            ("stranger", self.stranger.1.clone()),
            ("visitor", visitor()),
        ]
    }

    /// What an operation says to a caller.
    async fn ask(&self, what: &str, caller: &Caller) -> Result<(), ErrorKind> {
        let (operations, project) = (&self.site.operations, self.project);
        let day = Duration::from_secs(86_400);
        let paste = KeySource::Paste(new_key().to_line("k"));
        let holder = caller.account_id().unwrap_or(self.owner.0);
        match what {
            "see" => operations.find_project(caller, "climate").await.map(drop).map_err(|e| e.kind()),
            "see members" => operations.members(caller, project).await.map(drop).map_err(|e| e.kind()),
            "see keys" => operations.project_keys(caller, project).await.map(drop).map_err(|e| e.kind()),
            "see sessions" => {
                operations.project_sessions(caller, project, 9).await.map(drop).map_err(|e| e.kind())
            }
            "see activity" => {
                operations.project_activity(caller, project, None, 9).await.map(drop).map_err(|e| e.kind())
            }
            "start" => operations.order_start(caller, project).await.map(drop).map_err(|e| e.kind()),
            "stop" => operations.order_stop(caller, project).await.map(drop).map_err(|e| e.kind()),
            "set alias" => {
                operations.set_alias(caller, project, Some(&alias("climate"))).await.map_err(|e| e.kind())
            }
            "set title" => {
                operations.set_project_title(caller, project, &title("t")).await.map_err(|e| e.kind())
            }
            "add member" => {
                let done =
                    operations.add_member(caller, project, &name("stranger"), Role::Collaborator).await;
                if done.is_ok() {
                    operations.remove_member(&operator(), project, self.stranger.0).await.unwrap();
                }
                done.map_err(|e| e.kind())
            }
            "set role" => {
                let role = Role::Collaborator;
                let account = self.collaborator.0;
                operations.set_role(caller, project, account, role).await.map_err(|e| e.kind())
            }
            "invite" => {
                let membership = Some((project, Role::Collaborator));
                operations.invite(caller, membership, day).await.map(drop).map_err(|e| e.kind())
            }
            "see invitations" => {
                operations.open_invitations(caller, project).await.map(drop).map_err(|e| e.kind())
            }
            "add key" => {
                let place = KeyPlace::Project { project, holder };
                let done = operations.add_keys(caller, place, None, &paste, None).await;
                done.map(drop).map_err(|e| e.kind())
            }
            "suspend" => {
                let done = operations.suspend_project(caller, project).await;
                operations.activate_project(&operator(), project).await.unwrap();
                done.map_err(|e| e.kind())
            }
            other => panic!("no such question: {other}"),
        }
    }
}

#[tokio::test]
async fn who_may_do_what_in_a_project() {
    const OK: Result<(), ErrorKind> = Ok(());
    const NO: Result<(), ErrorKind> = Err(ErrorKind::Denied);
    const NONE: Result<(), ErrorKind> = Err(ErrorKind::Absent);
    // An admin who is no member holds no key of a project.
    const BAD: Result<(), ErrorKind> = Err(ErrorKind::Invalid);
    let people = People::new().await;
    let table = [
        ("see", [OK, OK, OK, OK, NONE, NO]),
        ("see members", [OK, OK, OK, OK, NONE, NO]),
        ("see keys", [OK, OK, OK, OK, NONE, NO]),
        ("see sessions", [OK, OK, OK, OK, NONE, NO]),
        ("see activity", [OK, OK, OK, OK, NONE, NO]),
        ("start", [OK, OK, OK, OK, NONE, NO]),
        ("stop", [OK, OK, OK, OK, NONE, NO]),
        ("set alias", [OK, OK, OK, NO, NONE, NO]),
        ("set title", [OK, OK, OK, NO, NONE, NO]),
        ("add member", [OK, OK, OK, NO, NONE, NO]),
        ("set role", [OK, OK, OK, NO, NONE, NO]),
        ("invite", [OK, OK, OK, NO, NONE, NO]),
        ("see invitations", [OK, OK, OK, NO, NONE, NO]),
        ("add key", [OK, BAD, OK, NO, NONE, NO]),
        ("suspend", [OK, OK, NO, NO, NO, NO]),
    ];
    for (what, wanted) in table {
        for ((who, caller), wanted) in people.callers().iter().zip(wanted) {
            assert_eq!(people.ask(what, caller).await, wanted, "{who}: {what}");
        }
    }
}

#[tokio::test]
async fn a_right_that_was_taken_away_is_gone_at_once() {
    let people = People::new().await;
    let operations = &people.site.operations;
    let owner = &people.owner.1;
    assert_eq!(people.ask("set title", owner).await, Ok(()));
    operations.set_role(&operator(), people.project, people.collaborator.0, Role::Owner).await.unwrap();
    operations.set_role(&operator(), people.project, people.owner.0, Role::Collaborator).await.unwrap();
    assert_eq!(people.ask("set title", owner).await, Err(ErrorKind::Denied));
    operations.remove_member(&operator(), people.project, people.owner.0).await.unwrap();
    assert_eq!(people.ask("set title", owner).await, Err(ErrorKind::Absent));
}
