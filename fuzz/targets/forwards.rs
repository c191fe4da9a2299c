//! What is typed after -L, -R and -D: any text, never a panic; what is shown reads the same.
#![no_main]

use hop_connect::mux::forward::{Direction, Forward};

hop_fuzz::target!(16, |bytes| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for direction in [Direction::Local, Direction::Remote, Direction::Dynamic] {
        if let Ok(forward) = Forward::parse(direction, text) {
            let shown = forward.to_string();
            let again = shown.split_once(' ').map(|(_, typed)| Forward::parse(direction, typed));
            assert_eq!(again, Some(Ok(forward)), "{shown}");
        }
    }
});
