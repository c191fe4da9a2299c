//! What was done in a project, in words.

use hop_store::{AuditEntry, ProjectId};
use serde_json::Value;

use super::view::Names;
use super::when::When;
use crate::operations::SessionError;
use crate::portal::Shared;
use crate::web::Person;

/// A row of the activity.
pub(crate) struct ActivityView {
    pub(crate) at: When,
    pub(crate) who: String,
    pub(crate) what: String,
}

/// The newest rows of a project's part of the audit trail.
pub(super) async fn activity(
    shared: &Shared,
    person: &Person,
    project: ProjectId,
    most: u32,
    names: &mut Names<'_>,
) -> Result<Vec<ActivityView>, SessionError> {
    let entries = shared.operations.project_activity(&person.caller, project, None, most).await?;
    let now = shared.operations.now();
    let mut rows = Vec::with_capacity(entries.len());
    for entry in &entries {
        let who = match entry.actor {
            Some(account) => names.account(account).await?,
            None => "the site".to_owned(),
        };
        let whom = match entry.account {
            Some(account) => names.account(account).await?,
            None => String::new(),
        };
        rows.push(ActivityView { at: When::new(entry.at, now), what: words(entry, &who, &whom), who });
    }
    Ok(rows)
}

/// What was done, as it follows the name of who did it.
fn words(entry: &AuditEntry, who: &str, whom: &str) -> String {
    let detail = |name: &str| entry.detail.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match entry.action.as_str() {
        "project.add" => format!("made the project \"{}\"", detail("title")),
        "project.rename" => format!("called the project \"{}\"", detail("title")),
        "project.set-alias" => format!("gave the project the alias {}", detail("alias")),
        "project.free-alias" => format!("took the alias {} away", detail("alias")),
        "project.set-environment" => "changed the environment".to_owned(),
        "project.suspend" => "suspended the project".to_owned(),
        "project.activate" => "opened the project again".to_owned(),
        "project.remove" => "removed the project".to_owned(),
        "project.start" => "started the project".to_owned(),
        "project.stop" => "stopped the project".to_owned(),
        "member.add" if who == whom => format!("became {}", article(&detail("role"))),
        "member.add" => format!("made {whom} {}", article(&detail("role"))),
        "member.set-role" => format!("made {whom} {}", article(&detail("role"))),
        "member.remove" if who == whom => "left the project".to_owned(),
        "member.remove" => format!("removed {whom}"),
        "key.add" => format!("added the key \"{}\"", detail("title")),
        "key.rename" => format!("renamed the key \"{}\" to \"{}\"", detail("title"), detail("new_title")),
        "key.set-expiry" => format!("changed when the key \"{}\" ends", detail("title")),
        "key.remove" => format!("removed the key \"{}\"", detail("title")),
        "key.expire" => format!("ended the key \"{}\", whose time was over", detail("title")),
        "invitation.add" => format!("invited somebody as {}", article(&detail("role"))),
        "invitation.fulfill" => format!("{whom} took an invitation"),
        "invitation.remove" => "withdrew an invitation".to_owned(),
        "ssh-session.end" => format!("ended a session of {whom} from {}", detail("client")),
        // An action that this version has no words for is better shown than hidden.
        other => other.to_owned(),
    }
}

fn article(role: &str) -> String {
    match role {
        "owner" => "an owner".to_owned(),
        other => format!("a {other}"),
    }
}

#[cfg(test)]
mod tests {
    use hop_store::{Through, Timestamp};
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_in_words() {
        for (action, detail, wanted) in [
            ("project.add", json!({ "title": "Climate" }), "made the project \"Climate\""),
            ("member.add", json!({ "role": "owner" }), "made bob an owner"),
            ("member.add", json!({ "role": "collaborator" }), "made bob a collaborator"),
            ("key.remove", json!({ "title": "<b>" }), "removed the key \"<b>\""),
            ("new.thing", json!({}), "new.thing"),
            ("key.add", json!({ "title": 7 }), "added the key \"\""),
        ] {
            let entry = AuditEntry {
                seq: 1,
                at: Timestamp::from_seconds(0),
                actor: None,
                through: Through::Portal,
                address: None,
                action: action.to_owned(),
                account: None,
                project: None,
                detail,
                hash: String::new(),
            };
            assert_eq!(words(&entry, "ada", "bob"), wanted, "{action}");
        }
    }
}
