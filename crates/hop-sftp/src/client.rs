//! The SFTP client: to be written.
