//! Which servers a test is for: the same function as one test for each of them.

/// One test for each server and each of the functions named.
macro_rules! against {
    ($($server:ident = $software:expr => [$($operation:ident),* $(,)?];)*) => {$(
        mod $server {
            use super::*;
            $(#[test]
            fn $operation() {
                let test = || super::$operation($software);
                hop_e2e::matrix::record_client($software, stringify!($operation), test);
            })*
        }
    )*};
}
pub(crate) use against;

/// One test for each release of sshd.
macro_rules! both_releases {
    ($($operation:ident),* $(,)?) => {
        mod with_9_2 {
            $(#[test]
            fn $operation() {
                let release = hop_e2e::sshd::Release::V9_2;
                let server = hop_e2e::foreign::Software::Sshd(release);
                hop_e2e::matrix::record_client(server, stringify!($operation), || super::$operation(release));
            })*
        }
        mod with_10_0 {
            $(#[test]
            fn $operation() {
                let release = hop_e2e::sshd::Release::V10_0;
                let server = hop_e2e::foreign::Software::Sshd(release);
                hop_e2e::matrix::record_client(server, stringify!($operation), || super::$operation(release));
            })*
        }
    };
}
pub(crate) use both_releases;
