//! The command line of sftp-server; a NUL ends an argument.
#![no_main]

use hop_sftp::arguments::{Command, parse};
use hop_sftp::server::Account;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

hop_fuzz::target!(16, |bytes| {
    let arguments = bytes.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec()));
    if let Ok(Command::Serve(arguments)) = parse(arguments) {
        assert!(arguments.umask.is_none_or(|umask| umask <= 0o777));
        let account = Account { name: "hopper".to_owned(), home: "/home/hopper".into() };
        let _ = arguments.server_options(account);
    }
});
