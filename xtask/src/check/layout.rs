//! The layers of the workspace and the third-party crates that are fenced into one of ours.
//!
//! Layer n uses lower layers only; mechanisms (layer 1) do not use one another, `hop-keys` apart; services (layer 2)
//! only along the arrows given here. Development dependencies are not judged: a test may use what it likes.

use serde::Deserialize;

use crate::tool::{Error, cargo, output};

/// Where a crate of ours stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Model,
    Mechanism,
    Service,
    Product,
    /// Not part of the product; may use all of it.
    Development,
}

/// Every crate of the workspace. A new crate is added here with its first code.
const LAYERS: &[(&str, Layer)] = &[
    ("hop-model", Layer::Model),
    ("hop-keys", Layer::Mechanism),
    ("hop-secrets", Layer::Mechanism),
    ("hop-ssh", Layer::Mechanism),
    ("hop-sftp", Layer::Mechanism),
    ("hop-link", Layer::Mechanism),
    ("hop-ca", Layer::Mechanism),
    ("hop-oidc", Layer::Mechanism),
    ("hop-sched", Layer::Mechanism),
    ("hop-store", Layer::Mechanism),
    ("hop-endpoint", Layer::Service),
    ("hop-connect", Layer::Service),
    ("hop-env", Layer::Service),
    ("hop-gateway", Layer::Service),
    ("hop-portal", Layer::Service),
    ("hop-broker", Layer::Service),
    ("hop-jupyter", Layer::Service),
    ("hop", Layer::Product),
    ("hop-py", Layer::Product),
    ("hop-testkit", Layer::Development),
    ("hop-bench", Layer::Development),
    ("hop-e2e", Layer::Development),
    ("xtask", Layer::Development),
];

/// The only uses within one layer.
const ARROWS: &[(&str, &str)] = &[
    ("hop-ssh", "hop-keys"),
    ("hop-ca", "hop-keys"),
    ("hop-store", "hop-keys"),
    ("hop-gateway", "hop-env"),
    ("hop-portal", "hop-env"),
    ("hop-env", "hop-connect"),
    ("hop-broker", "hop-connect"),
    // Terminals and host keys, for clients that cannot use a control socket.
    ("hop-broker", "hop-endpoint"),
    ("xtask", "hop-e2e"),
    ("xtask", "hop-testkit"),
    ("hop-e2e", "hop-testkit"),
    ("hop-bench", "hop-testkit"),
    ("hop-bench", "hop-e2e"),
];

/// Third-party crates, and ours that alone may name them.
const FENCES: &[(&str, &[&str])] = &[
    ("ssh-key", &["hop-keys"]),
    ("aws-lc-rs", &["hop-keys", "hop-secrets", "hop-ssh"]),
    ("sha1", &["hop-link"]),
    ("secret-service", &["hop-secrets"]),
    ("linux-keyutils", &["hop-secrets"]),
    ("rustls", &["hop-link", "hop-portal"]),
    ("tokio-rustls", &["hop-link", "hop-portal"]),
    ("openidconnect", &["hop-oidc"]),
    ("jsonwebtoken", &["hop-oidc"]),
    ("sqlx", &["hop-store"]),
    // The broker's page is a person's own, on the loopback interface; the portal is a site's: they share no page.
    ("axum", &["hop-broker", "hop-portal"]),
    ("askama", &["hop-broker", "hop-portal"]),
    ("keyring", &["hop-broker"]),
    ("clap", &["hop", "xtask"]),
    ("clap_complete", &["hop"]),
    ("clap_mangen", &["hop"]),
    ("indicatif", &["hop"]),
    ("tracing-subscriber", &["hop"]),
    ("pyo3", &["hop-py"]),
];

/// What we read of `cargo metadata`.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) packages: Vec<Package>,
    workspace_members: Vec<String>,
}

/// One package of the lock file.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) license: Option<String>,
    pub(super) source: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

impl Metadata {
    pub(super) fn load() -> Result<Self, Error> {
        let mut command = cargo();
        command.args(["metadata", "--format-version", "1", "--all-features", "--locked"]);
        let text = output(&mut command)?;
        serde_json::from_str(&text)
            .map_err(|source| Error::Output { line: "cargo metadata".to_owned(), source })
    }

    fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|p| self.workspace_members.contains(&p.id))
    }
}

/// The check by itself.
pub(crate) fn run_alone() -> Result<(), Error> {
    Error::from_problems(&problems(&Metadata::load()?))
}

/// What breaks the rules.
pub(super) fn problems(metadata: &Metadata) -> Vec<String> {
    metadata.ours().flat_map(package_problems).collect()
}

fn package_problems(package: &Package) -> Vec<String> {
    let user = package.name.as_str();
    let Some(layer) = layer(user) else {
        return vec![format!("{user}: has no layer; name it in xtask/src/check/layout.rs")];
    };
    let mut problems = Vec::new();
    for dependency in package.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev")) {
        let used = dependency.name.as_str();
        if let Some((_, inside)) = FENCES.iter().find(|(name, _)| *name == used)
            && !inside.contains(&user)
        {
            problems.push(format!("{user} uses {used}, which is fenced into {}", inside.join(" and ")));
        }
        if let Some(lower) = self::layer(used)
            && lower >= layer
            && !ARROWS.contains(&(user, used))
        {
            problems.push(format!(
                "{user} ({layer:?}) uses {used} ({lower:?}): not a lower layer, and no arrow allows it"
            ));
        }
    }
    problems
}

fn layer(name: &str) -> Option<Layer> {
    LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dependency and its kind (`None` is the ordinary one).
    type Use = (&'static str, Option<&'static str>);

    fn package(name: &str, uses: &[Use]) -> Package {
        let dependencies =
            uses.iter().map(|(n, k)| Dependency { name: (*n).into(), kind: k.map(Into::into) }).collect();
        Package {
            id: name.into(),
            name: name.into(),
            version: String::new(),
            license: None,
            source: None,
            dependencies,
        }
    }

    #[test]
    fn layers_arrows_and_fences() {
        let cases: &[(&str, &[Use], usize)] = &[
            ("hop-ssh", &[("hop-keys", None), ("hop-model", None), ("aws-lc-rs", None)], 0),
            ("hop-sftp", &[("hop-ssh", None)], 1),
            ("hop-sftp", &[("hop-ssh", Some("dev"))], 0),
            ("hop-model", &[("hop-keys", None)], 1),
            ("hop-endpoint", &[("hop-ssh", None), ("hop-sftp", None), ("clap", None)], 1),
            ("hop-endpoint", &[("hop-gateway", None)], 1),
            ("hop-gateway", &[("hop-env", None)], 0),
            ("hop-sftp", &[("ssh-key", None)], 1),
            ("hop-sftp", &[("aws-lc-rs", Some("build"))], 1),
            ("hop", &[("hop-testkit", None)], 1),
            ("xtask", &[("clap", None), ("hop-e2e", None)], 0),
            ("hop-new", &[], 1),
        ];
        for (user, uses, wanted) in cases {
            let found = package_problems(&package(user, uses));
            assert_eq!(found.len(), *wanted, "{user} with {uses:?}: {found:?}");
        }
    }
}
