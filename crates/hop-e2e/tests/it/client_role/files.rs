//! `hop_sftp`'s client over a session of ours, served by OpenSSH's sftp-server behind each of the servers.

use std::fs::File;
use std::path::Path;

use hop_e2e::Foreign;
use hop_e2e::foreign::Software;
use hop_e2e::payload;
use hop_e2e::sshd::Release;
use hop_sftp::client::{Client as Sftp, TransferOptions, connect};
use hop_ssh::connection::{ChannelKind, ChannelRequest, Stream};

use super::client::{Client, finish, log_in_to, run};
use super::servers::against;
use crate::expected::{Large, SmallTree};

against! {
    sshd_9_2 = Software::Sshd(Release::V9_2) => [puts_renames_lists_and_gets, moves_64_mib_both_ways];
    sshd_10_0 = Software::Sshd(Release::V10_0) => [puts_renames_lists_and_gets, moves_64_mib_both_ways];
    dropbear = Software::Dropbear => [puts_renames_lists_and_gets];
    tinysshd = Software::Tinysshd => [puts_renames_lists_and_gets, moves_64_mib_both_ways];
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// Runs `test` on the SFTP client of a new session; afterwards the session ends well by itself.
async fn with_sftp(client: &Client, test: impl AsyncFnOnce(&Sftp)) {
    let channel = client.connection.open(ChannelKind::Session).await.unwrap();
    assert!(channel.request(&ChannelRequest::Subsystem(b"sftp".to_vec())).await);
    let (reader, writer) = (channel.reader(Stream::Data), channel.writer(Stream::Data));
    let (sftp, connection) = connect(reader, writer).await.unwrap();
    let moving = tokio::task::spawn_local(connection.run());
    test(&sftp).await;
    drop(sftp);
    moving.await.unwrap().unwrap();
    channel.send_eof();
    let ended = finish(&channel).await;
    assert_eq!((ended.status, ended.signal), (Some(0), None));
}

fn puts_renames_lists_and_gets(software: Software) {
    let (server, tree) = (Foreign::start(software), SmallTree::new());
    run(async {
        let client = log_in_to(&server).await;
        with_sftp(&client, async |sftp| {
            let options = TransferOptions::default();
            let (first, second) = (tree.folder.join("first"), tree.folder.join("second"));
            sftp.put(&File::open(&tree.local).unwrap(), bytes(&first), &options).await.unwrap();
            sftp.rename(bytes(&first), bytes(&second)).await.unwrap();
            let mut names = Vec::new();
            let mut folder = sftp.open_directory(bytes(&tree.folder)).await.unwrap();
            while let Some(entries) = folder.next_entries().await.unwrap() {
                names.extend(entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()));
            }
            SmallTree::assert_names(names.iter().map(String::as_str));
            sftp.get(bytes(&second), &File::create(&tree.back).unwrap(), &options).await.unwrap();
            let missing = sftp.stat(bytes(&first)).await.unwrap_err();
            assert!(missing.to_string().contains("No such file"), "{missing}");
        })
        .await;
        tree.assert_moved_and_back();
    });
}

fn moves_64_mib_both_ways(software: Software) {
    let (server, large) = (Foreign::start(software), Large::new());
    let back = large.scratch.join("back");
    run(async {
        let client = log_in_to(&server).await;
        with_sftp(&client, async |sftp| {
            let options = TransferOptions::default();
            sftp.put(&File::open(&large.original).unwrap(), bytes(&large.copy), &options).await.unwrap();
            sftp.get(bytes(&large.copy), &File::create(&back).unwrap(), &options).await.unwrap();
        })
        .await;
    });
    large.assert_copied();
    payload::assert_same(&large.original, &back);
}
