use super::*;

fn row() -> AuditRow {
    AuditRow {
        seq: 1,
        at: Timestamp::from_micros(2),
        actor: None,
        through: "site".to_owned(),
        address: None,
        action: "site.start".to_owned(),
        account: None,
        project: None,
        detail: "{}".to_owned(),
    }
}

#[test]
fn the_canonical_form_stays_what_it_is() {
    // By hand, from the description: a change of this value makes every stored trail invalid.
    let mut bytes = b"hop audit row 1\n".to_vec();
    bytes.extend([0; 32]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    bytes.extend(
        b"\0\x01\0\0\0\0\0\0\0\x04site\0\x01\0\0\0\0\0\0\0\x0asite.start\0\0\x01\0\0\0\0\0\0\0\x02{}",
    );
    let expected: [u8; 32] = Sha256::digest(&bytes).into();
    assert_eq!(row().hash(&[0; 32]), expected);
}

#[test]
fn every_part_counts() {
    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }
    let changes: [fn(&mut AuditRow); 9] = [
        |row| row.seq = 2,
        |row| row.at = Timestamp::from_micros(3),
        |row| row.actor = text("7"),
        |row| row.through = "api".to_owned(),
        |row| row.address = text("7"),
        |row| row.action.push('s'),
        |row| row.account = text("7"),
        |row| row.project = text("7"),
        |row| row.detail.push(' '),
    ];
    let mut hashes = vec![row().hash(&[0; 32]), row().hash(&[1; 32])];
    for change in changes {
        let mut changed = row();
        change(&mut changed);
        hashes.push(changed.hash(&[0; 32]));
    }
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}
