//! Which servers a test is for: the same function as one test for each of them.

/// One test for each server and each of the functions named.
macro_rules! against {
    ($($server:ident = $software:expr => [$($operation:ident),* $(,)?];)*) => {$(
        mod $server {
            use super::*;
            $(#[test]
            fn $operation() {
                super::$operation($software);
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
                super::$operation(hop_e2e::sshd::Release::V9_2);
            })*
        }
        mod with_10_0 {
            $(#[test]
            fn $operation() {
                super::$operation(hop_e2e::sshd::Release::V10_0);
            })*
        }
    };
}
pub(crate) use both_releases;
