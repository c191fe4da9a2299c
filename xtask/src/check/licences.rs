//! Licences and origins of everything in the lock file. `deny.toml` says the same for cargo-deny, which takes longer to
//! install than all our tests to run.

use super::layout::Metadata;

/// Licences that ask no more than to be named. The list of `deny.toml`.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages whose licence or origin is not one of ours.
pub(super) fn problems(metadata: &Metadata) -> Vec<String> {
    let mut problems = Vec::new();
    for package in &metadata.packages {
        let name = format!("{} {}", package.name, package.version);
        match &package.license {
            None => problems.push(format!("{name}: states no licence")),
            Some(expression) if !is_allowed(expression) => {
                problems.push(format!("{name}: licence {expression}"))
            }
            Some(_) => {}
        }
        // Ours have no source; everything else comes from the one registry.
        if package.source.as_deref().is_some_and(|s| !s.starts_with("registry+")) {
            problems.push(format!("{name}: not from the registry"));
        }
    }
    problems
}

/// Whether an SPDX expression can be met with allowed licences only.
fn is_allowed(expression: &str) -> bool {
    // Some old packages write `MIT/Apache-2.0` for OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let allowed = any_of(&mut rest);
    allowed && rest.is_empty()
}

/// `a OR b`; AND binds stronger.
fn any_of(words: &mut &[&str]) -> bool {
    let mut allowed = all_of(words);
    while let [first, rest @ ..] = *words
        && *first == "OR"
    {
        *words = rest;
        allowed |= all_of(words);
    }
    allowed
}

fn all_of(words: &mut &[&str]) -> bool {
    let mut allowed = one(words);
    while let [first, rest @ ..] = *words
        && *first == "AND"
    {
        *words = rest;
        allowed &= one(words);
    }
    allowed
}

fn one(words: &mut &[&str]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let allowed = any_of(words);
            let closed = words.first() == Some(&")");
            *words = words.get(1..).unwrap_or_default();
            allowed && closed
        }
        [id, with, exception, rest @ ..] if *with == "WITH" => {
            *words = rest;
            ALLOWED.contains(&format!("{id} WITH {exception}").as_str())
        }
        [id, rest @ ..] => {
            *words = rest;
            ALLOWED.contains(id)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let cases = [
            ("MIT", true),
            ("MIT OR Apache-2.0", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND OpenSSL", false),
            ("ISC AND (Apache-2.0 OR ISC)", true),
            ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", true),
            ("MIT Apache-2.0", false),
            ("", false),
        ];
        for (expression, wanted) in cases {
            assert_eq!(is_allowed(expression), wanted, "{expression}");
        }
    }
}
