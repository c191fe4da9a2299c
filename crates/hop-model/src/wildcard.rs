//! The `*` and `?` patterns of OpenSSH's files (ssh_config(5), "PATTERNS").

/// Whether `text` matches `pattern`, in which `*` stands for any run of bytes and `?` for exactly one.
///
/// Case counts: callers that compare host names lower both sides first, as OpenSSH does. The search remembers
/// only the last `*`, so hostile patterns cost at most `pattern × text` steps, never exponential time.
pub fn wildcard_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to resume when the bytes after the last `*` do not fit: that tail, and the text it was tried on.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', tail)), _) => {
                retry = Some((tail, text));
                pattern = tail;
            }
            (Some((want, tail)), Some((have, rest))) if *want == b'?' || want == have => {
                pattern = tail;
                text = rest;
            }
            (None, None) => return true,
            _ => {
                let Some((tail, [_, rest @ ..])) = retry else { return false };
                retry = Some((tail, rest));
                pattern = tail;
                text = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let table: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a", "a", true),
            ("a", "A", false),
            ("?", "", false),
            ("?", "a", true),
            ("a*", "a", true),
            ("*a", "ba", true),
            ("*.example.org", "host.example.org", true),
            ("*.example.org", "example.org", false),
            ("10.1.?.*", "10.1.2.33", true),
            ("10.1.?.*", "10.1.22.33", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("**", "x", true),
            ("*?", "", false),
            ("*ab", "aab", true),
        ];
        for &(pattern, text, matches) in table {
            assert_eq!(wildcard_match(pattern.as_bytes(), text.as_bytes()), matches, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = "*a".repeat(2_000) + "b";
        assert!(!wildcard_match(pattern.as_bytes(), "a".repeat(10_000).as_bytes()));
    }
}
