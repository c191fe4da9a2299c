//! Requests on paths, one method each.

use super::error::RequestError;
use super::{Client, RemoteDirectory, RemoteFile};
use crate::codec::{Attributes, Extended, Extension, FileSystemStatistics, OpenFlags, Request};
use crate::requests::RequestName;

impl Client {
    /// Opens a file. `attributes` (the mode, mostly) apply when it is created.
    pub async fn open(
        &self,
        path: &[u8],
        flags: OpenFlags,
        attributes: Attributes,
    ) -> Result<RemoteFile, RequestError> {
        let reply = self.ask(path, &Request::Open { path, flags, attributes }).await?;
        Ok(RemoteFile::new(self.clone(), reply.handle()?, path))
    }

    /// Opens a directory for listing.
    pub async fn open_directory(&self, path: &[u8]) -> Result<RemoteDirectory, RequestError> {
        let reply = self.ask(path, &Request::Opendir { path }).await?;
        Ok(RemoteDirectory::new(RemoteFile::new(self.clone(), reply.handle()?, path)))
    }

    /// Attributes of what the path leads to.
    pub async fn stat(&self, path: &[u8]) -> Result<Attributes, RequestError> {
        self.ask(path, &Request::Stat { path }).await?.attributes()
    }

    /// Attributes of the path itself, be it a symbolic link.
    pub async fn lstat(&self, path: &[u8]) -> Result<Attributes, RequestError> {
        self.ask(path, &Request::Lstat { path }).await?.attributes()
    }

    /// Sets the attributes that are present.
    pub async fn set_attributes(&self, path: &[u8], attributes: Attributes) -> Result<(), RequestError> {
        self.ask(path, &Request::Setstat { path, attributes }).await?.done()
    }

    /// Removes a file or a symbolic link.
    pub async fn remove(&self, path: &[u8]) -> Result<(), RequestError> {
        self.ask(path, &Request::Remove { path }).await?.done()
    }

    /// Makes a directory.
    pub async fn make_directory(&self, path: &[u8], attributes: Attributes) -> Result<(), RequestError> {
        self.ask(path, &Request::Mkdir { path, attributes }).await?.done()
    }

    /// Removes an empty directory.
    pub async fn remove_directory(&self, path: &[u8]) -> Result<(), RequestError> {
        self.ask(path, &Request::Rmdir { path }).await?.done()
    }

    /// The absolute path without links and dots; the last component need not exist.
    pub async fn canonicalize(&self, path: &[u8]) -> Result<Vec<u8>, RequestError> {
        self.ask(path, &Request::Realpath { path }).await?.path()
    }

    /// Like [`canonicalize`](Self::canonicalize), with `~` and `~user` at the start taken as a shell does.
    pub async fn expand(&self, path: &[u8]) -> Result<Vec<u8>, RequestError> {
        self.ask_extended(Extension::ExpandPath, RequestName::ExpandPath, path, Extended::ExpandPath { path })
            .await?
            .path()
    }

    /// Where a symbolic link points.
    pub async fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, RequestError> {
        self.ask(path, &Request::Readlink { path }).await?.path()
    }

    /// Makes a symbolic link.
    pub async fn symlink(&self, target: &[u8], link_path: &[u8]) -> Result<(), RequestError> {
        self.ask(link_path, &Request::Symlink { target, link_path }).await?.done()
    }

    /// Makes a second name of a file.
    pub async fn hard_link(&self, old_path: &[u8], new_path: &[u8]) -> Result<(), RequestError> {
        let request = Extended::Hardlink { old_path, new_path };
        self.ask_extended(Extension::Hardlink, RequestName::Hardlink, new_path, request).await?.done()
    }

    /// Renames; fails when the new name is taken.
    pub async fn rename(&self, old_path: &[u8], new_path: &[u8]) -> Result<(), RequestError> {
        self.ask(old_path, &Request::Rename { old_path, new_path }).await?.done()
    }

    /// Renames in one step, replacing what has the new name.
    pub async fn replace(&self, old_path: &[u8], new_path: &[u8]) -> Result<(), RequestError> {
        let request = Extended::PosixRename { old_path, new_path };
        self.ask_extended(Extension::PosixRename, RequestName::PosixRename, old_path, request).await?.done()
    }

    /// The file system a path is on.
    pub async fn statistics(&self, path: &[u8]) -> Result<FileSystemStatistics, RequestError> {
        let request = Extended::Statvfs { path };
        self.ask_extended(Extension::Statvfs, RequestName::Statvfs, path, request)
            .await?
            .payload(FileSystemStatistics::decode)
    }

    async fn ask_extended(
        &self,
        extension: Extension,
        request: RequestName,
        path: &[u8],
        extended: Extended<'_>,
    ) -> Result<super::reply::Reply, RequestError> {
        if !self.server().offers(extension) {
            return Err(RequestError::NotOffered { request });
        }
        self.ask(path, &Request::Extended(extended)).await
    }
}
