//! What a token must be allowed to do at a Hub, and what it may do beyond that.

/// A right that SSH needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// As the Hub's token page wants it typed.
    pub scope: String,
    /// For what.
    pub why: &'static str,
    /// Bases that include it. Since JupyterHub 6 a start has a scope of its own.
    bases: &'static [&'static str],
}

/// What SSH needs.
fn needs(user: &str) -> [Need; 3] {
    let need = |base: &str, why, bases| Need { scope: format!("{base}!user={user}"), why, bases };
    [
        need("access:servers", "to reach it", &["access:servers"]),
        need("servers", "to start it", &["servers", "start:servers"]),
        need("read:servers", "to see whether it runs", &["read:servers", "servers"]),
    ]
}

/// The scopes of a token that can do what SSH needs and nothing more; with `renews`, also make its successor.
pub fn least_scopes(user: &str, renews: bool) -> Vec<String> {
    let more = renews.then(|| format!("tokens!user={user}"));
    needs(user).into_iter().map(|need| need.scope).chain(more).collect()
}

/// Which needs of a person's server a token does not meet. `held` is what the Hub says of the token, hierarchies resolved.
pub fn missing(held: &[String], user: &str, server: &str, groups: &[String]) -> Vec<Need> {
    let meets = |need: &Need| {
        held.iter().any(|scope| need.bases.iter().any(|base| covers(scope, base, user, server, groups)))
    };
    needs(user).into_iter().filter(|need| !meets(need)).collect()
}

/// Whether a scope as it is held gives `base` for this server: without a filter, or with one that has it.
fn covers(scope: &str, base: &str, user: &str, server: &str, groups: &[String]) -> bool {
    let (held, filter) = scope.split_once('!').unwrap_or((scope, ""));
    held == base
        && match filter.split_once('=') {
            None => filter.is_empty() || filter == "user",
            Some(("user", name)) => name == user,
            Some(("server", name)) => name.split_once('/') == Some((user, server)),
            Some(("group", name)) => groups.iter().any(|group| group == name),
            Some(_) => false,
        }
}

/// What a token may do that SSH does not need. Whoever has such a token can do it, too.
pub fn surplus<'s>(held: &'s [String], user: &str, renews: bool) -> Vec<&'s str> {
    // What the needed ones include, and what every token may see of its own person.
    const INCLUDED: [&str; 9] = [
        "access:servers",
        "servers",
        "start:servers",
        "delete:servers",
        "read:servers",
        "read:users:name",
        "read:users:groups",
        "read:users:activity",
        "users:activity",
    ];
    const OF_RENEWAL: [&str; 2] = ["tokens", "read:tokens"];
    let is_included = |scope: &&str| {
        let (base, filter) = scope.split_once('!').unwrap_or((scope, ""));
        let own = match filter.split_once('=') {
            Some(("user", name)) => name == user,
            Some(("server", name)) => name.split('/').next() == Some(user),
            _ => filter == "user",
        };
        own && (INCLUDED.contains(&base) || (renews && OF_RENEWAL.contains(&base)))
    };
    held.iter().map(String::as_str).filter(|scope| !is_included(scope)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    #[test]
    fn what_is_missing() {
        let cases: [(&[&str], &str, &[&str]); 9] = [
            (&[], "", &["access:servers!user=al", "servers!user=al", "read:servers!user=al"]),
            (&["access:servers!user=al"], "", &["servers!user=al", "read:servers!user=al"]),
            (&["access:servers!user=al", "servers!user=al"], "", &[]),
            (&["access:servers", "servers"], "lab", &[]),
            (&["access:servers!user=bo", "servers!user=al"], "", &["access:servers!user=al"]),
            (&["access:servers!server=al/lab", "servers!user=al"], "lab", &[]),
            (&["access:servers!server=al/lab", "servers!user=al"], "", &["access:servers!user=al"]),
            (&["access:servers!group=g", "start:servers!group=g"], "", &["read:servers!user=al"]),
            (
                &["access:servers!user=al", "servers!group=h"],
                "",
                &["servers!user=al", "read:servers!user=al"],
            ),
        ];
        for (scopes, server, wanted) in cases {
            let found = missing(&held(scopes), "al", server, &held(&["g"]));
            assert_eq!(
                found.iter().map(|need| need.scope.as_str()).collect::<Vec<_>>(),
                wanted,
                "{scopes:?}"
            );
        }
        for renews in [true, false] {
            assert_eq!(missing(&least_scopes("al", renews), "al", "", &[]), []);
            assert_eq!(surplus(&least_scopes("al", renews), "al", renews), [""; 0]);
        }
    }

    #[test]
    fn what_is_too_much() {
        let scopes =
            held(&["access:servers", "servers!user=al", "tokens!user=al", "self", "read:users:name!user=al"]);
        assert_eq!(surplus(&scopes, "al", false), ["access:servers", "tokens!user=al", "self"]);
        assert_eq!(surplus(&scopes, "al", true), ["access:servers", "self"]);
        assert_eq!(surplus(&held(&["servers!user=bo"]), "al", false), ["servers!user=bo"]);
    }
}
