use hop_keys::PrivateKey;

use super::*;

fn new_key() -> PublicKey {
    PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap().public().clone()
}

/// A line with an RSA key of this many bits: the numbers are odd, which is all that a reader can see.
fn rsa_line(bits: usize) -> String {
    let mut modulus = vec![0; 1];
    modulus.extend(std::iter::repeat_n(0xff_u8, bits / 8));
    let mut blob = Vec::new();
    for part in [b"ssh-rsa".as_slice(), &[1, 0, 1], &modulus] {
        blob.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        blob.extend(part);
    }
    format!("ssh-rsa {}", base64(&blob))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * at) & 63) as usize];
            text.push(if at > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[test]
fn stray_blanks_and_line_ends_are_removed() {
    let key = new_key();
    let line = key.to_line("");
    let (name, body) = line.split_once(' ').unwrap();
    let (left, right) = body.split_at(20);
    let (middle, end) = right.split_at(30);
    let texts = [
        format!("  {line}  \r\n"),
        format!("\n\n{line} ada@laptop\n\n"),
        format!("{name} {left}\n{middle}\n{end} ada@laptop"),
        format!("{name}\n{left} {middle}\r\n   {end}"),
        format!("{name} {left}\n\n{middle} {end}\n"),
        format!("# mine\n{line}"),
        format!("{left}{middle}{end}"),
        format!("{left}\n{middle}\n{end}\n"),
    ];
    for text in texts {
        let pasted = parse_keys(&text).unwrap();
        assert_eq!(pasted.problems, [], "{text}");
        assert_eq!(pasted.keys.iter().map(|k| &k.key).collect::<Vec<_>>(), [&key], "{text}");
    }
    let pasted = parse_keys(&key.to_line("ada on the laptop")).unwrap();
    assert_eq!(pasted.keys[0].comment, "ada on the laptop");
}

#[test]
fn several_keys_each_with_its_line() {
    let (one, two) = (new_key(), new_key());
    let text = format!(
        "{}\nnonsense here\n\nfrom=\"10.0.0.1\",no-pty {}\n{}\n{}\n",
        one.to_line("one"),
        two.to_line(""),
        two.to_line("two"),
        one.to_line("again")
    );
    let pasted = parse_keys(&text).unwrap();
    let keys: Vec<_> = pasted.keys.iter().map(|k| (k.line, k.comment.as_str())).collect();
    assert_eq!(keys, [(1, "one"), (5, "two")]);
    let problems: Vec<_> = pasted.problems.iter().map(|p| (p.line, p.reason.clone())).collect();
    let wanted =
        [(2, PastedReason::NotAKey), (4, PastedReason::Options), (6, PastedReason::Repeated { first: 1 })];
    assert_eq!(problems, wanted);
}

#[test]
fn keys_of_security_tokens_are_taken() {
    let blob = |name: &str, middle: &[&[u8]]| {
        let mut blob = Vec::new();
        for part in [&[name.as_bytes()], middle, &[b"ssh:".as_slice()]].concat() {
            blob.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
            blob.extend(part);
        }
        base64(&blob)
    };
    let name = "sk-ssh-ed25519@openssh.com";
    let text = format!("{name} {} token", blob(name, &[&[7; 32]]));
    let pasted = parse_keys(&text).unwrap();
    assert_eq!(pasted.problems, []);
    assert_eq!(pasted.keys[0].key.algorithm(), KeyAlgorithm::SkEd25519);
}

#[test]
fn the_form_of_rfc_4716() {
    let key = new_key();
    let line = key.to_line("");
    let (left, right) = line.split_once(' ').unwrap().1.split_at(40);
    let text = format!(
        "---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"a long \\\ncomment\"\nx-private: y\n{left}\n{right}\n\
         ---- END SSH2 PUBLIC KEY ----\n"
    );
    let pasted = parse_keys(&text).unwrap();
    assert_eq!(pasted.problems, []);
    assert_eq!(pasted.keys[0].key, key);
}

#[test]
fn a_private_key_yields_nothing_of_itself() {
    let private = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let file = private.to_openssh("secret");
    let body: String = file.lines().filter(|l| !l.starts_with('-')).collect();
    let mixed = format!("{}\n{}", new_key().to_line(""), *file);
    for text in
        [&*file, &*mixed, &*body, "PuTTY-User-Key-File-3: ssh-ed25519", "-----BEGIN RSA PRIVATE KEY-----"]
    {
        let error = parse_keys(text).unwrap_err();
        let words = format!("{error} {error:?}");
        assert!(words.contains("private key"), "{words}");
        assert!(!words.contains(&body[..20]), "{words}");
    }
}

#[test]
fn what_is_refused_and_why() {
    let key = new_key();
    let cut = key.to_line("");
    let cut = &cut[..cut.len() - 8];
    type Check = fn(&PastedReason) -> bool;
    let cases: [(String, Check); 8] = [
        ("ssh-dss AAAAB3NzaC1kc3MAAACBAP".into(), |r| *r == PastedReason::Dsa),
        (rsa_line(1_024), |r| *r == PastedReason::SmallRsa { bits: 1_024 }),
        ("hello".into(), |r| *r == PastedReason::NotAKey),
        (format!("command=\"x\" {}", key.to_line("")), |r| *r == PastedReason::Options),
        ("ssh-ed25519-cert-v01@openssh.com AAAA".into(), |r| *r == PastedReason::Certificate),
        ("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----".into(), |r| {
            *r == PastedReason::Pem
        }),
        (cut.to_owned(), |r| matches!(r, PastedReason::Key(_))),
        ("x".repeat(MOST_BYTES + 1), |r| *r == PastedReason::TooMuch),
    ];
    for (text, check) in cases {
        let pasted = parse_keys(&text).unwrap();
        assert_eq!(pasted.keys, [], "{text:.60}");
        assert_eq!(pasted.problems.len(), 1, "{text:.60}: {:?}", pasted.problems);
        assert!(check(&pasted.problems[0].reason), "{text:.60}: {:?}", pasted.problems);
    }
}

#[test]
fn short_rsa_keys_come_with_a_warning() {
    for (bits, warning) in [(2_048, Some(KeyWarning::ShortRsa { bits: 2_048 })), (3_072, None), (4_096, None)]
    {
        let pasted = parse_keys(&rsa_line(bits)).unwrap();
        assert_eq!(pasted.keys[0].warning, warning, "{bits}");
    }
}

#[test]
fn many_keys_are_cut_off() {
    let text: String = (0..=MOST_KEYS).map(|_| new_key().to_line("") + "\n").collect();
    let pasted = parse_keys(&text).unwrap();
    assert_eq!(pasted.keys.len(), MOST_KEYS);
    assert_eq!(pasted.problems, [PastedProblem { line: MOST_KEYS + 1, reason: PastedReason::TooMuch }]);
}

proptest::proptest! {
    #[test]
    fn parse_never_panics(text in "(ssh-ed25519|ssh-rsa|AAAA|[ \n\r\t]|-----BEGIN |---- BEGIN SSH2 PUBLIC KEY ----\n|.){0,40}") {
        let _ = parse_keys(&text);
    }
}
