//! What ssh and servers say, cut into text and links.
//!
//! Must stay true: only http and https become links, and what is shown is where they lead: an address with a name before
//! its host, as in `https://bank.example@evil.example`, stays text.

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Words.
    Text(&'t str),
    /// An address to open.
    Link(&'t str),
}

/// Longer ones stay text.
const LONGEST: usize = 1024;

/// Cuts a text.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some((start, end)) = next_link(rest, from) {
        let (Some(before), Some(link), Some(after)) =
            (rest.get(..start), rest.get(start..end), rest.get(end..))
        else {
            break;
        };
        if is_plain(link) {
            if !before.is_empty() {
                found.push(Piece::Text(before));
            }
            found.push(Piece::Link(link));
            (rest, from) = (after, 0);
        } else {
            from = end;
        }
    }
    if !rest.is_empty() {
        found.push(Piece::Text(rest));
    }
    found
}

fn next_link(text: &str, from: usize) -> Option<(usize, usize)> {
    let tail = text.get(from..)?;
    let start = ["https://", "http://"].iter().filter_map(|scheme| tail.find(scheme)).min()?;
    let link = tail.get(start..)?;
    let whole = link.find(|c: char| c.is_whitespace() || c.is_control() || "<>\"`{}|\\^".contains(c));
    let link = link.get(..whole.unwrap_or(link.len()))?;
    // A sentence's end is not the address's.
    let link = link.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'']);
    Some((from + start, from + start + link.len()))
}

fn is_plain(link: &str) -> bool {
    let Some((_, rest)) = link.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !host.is_empty() && host.is_ascii() && !host.contains('@') && link.len() <= LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;
    use Piece::{Link, Text};

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_every_link_is_one(text in "(https?://|[a-z@./:é \"<>\n-]){0,40}") {
            let cut = pieces(&text);
            let whole: String = cut.iter().map(|piece| match piece { Text(text) | Link(text) => *text }).collect();
            proptest::prop_assert_eq!(whole, text.as_str());
            for piece in cut {
                if let Link(link) = piece {
                    proptest::prop_assert!(link.starts_with("http://") || link.starts_with("https://"));
                    proptest::prop_assert!(!link.contains(['"', '<', '>', ' ', '\n']));
                }
            }
        }
    }

    #[test]
    fn only_addresses_that_are_what_they_seem_become_links() {
        for (text, wanted) in [
            ("no link", vec![Text("no link")]),
            ("", vec![]),
            (
                "Visit https://a.example/x?y=1, then",
                vec![Text("Visit "), Link("https://a.example/x?y=1"), Text(", then")],
            ),
            ("(http://a.example).", vec![Text("("), Link("http://a.example"), Text(").")]),
            (
                "https://a.example https://b.example",
                vec![Link("https://a.example"), Text(" "), Link("https://b.example")],
            ),
            ("https://bank.example@evil.example/", vec![Text("https://bank.example@evil.example/")]),
            ("https://bаnk.example/", vec![Text("https://bаnk.example/")]),
            ("https:// and javascript:alert(1)", vec![Text("https:// and javascript:alert(1)")]),
            ("http://x@y https://z", vec![Text("http://x@y "), Link("https://z")]),
            ("https://a.example/\"onclick=\"x", vec![Link("https://a.example/"), Text("\"onclick=\"x")]),
        ] {
            assert_eq!(pieces(text), wanted, "{text}");
        }
    }
}
