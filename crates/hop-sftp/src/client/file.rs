//! An open file on the server.

use std::ops::Deref;

use super::Client;
use super::error::RequestError;
use super::reply::{Pending, Question};
use crate::codec::{Attributes, Extended, Extension, Request};
use crate::requests::RequestName;

/// An open file. Dropped, it is closed without anyone learning what became of that; [`close`](Self::close) tells.
#[derive(Debug)]
pub struct RemoteFile {
    client: Client,
    handle: Vec<u8>,
    path: Vec<u8>,
    open: bool,
}

/// Bytes that were read, in the packet they came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    packet: Vec<u8>,
}

/// Type, id and length stand before the data of a DATA packet.
const DATA_AT: usize = 9;

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.packet.get(DATA_AT..).unwrap_or_default()
    }
}

impl RemoteFile {
    pub(super) fn new(client: Client, handle: Vec<u8>, path: &[u8]) -> Self {
        Self { client, handle, path: path.to_vec(), open: true }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Reads up to `length` bytes; `None` at the end of the file. A server may give less.
    pub async fn read_at(&self, offset: u64, length: u32) -> Result<Option<Chunk>, RequestError> {
        chunk_of(self.submit_read(offset, length).await?, length).await
    }

    /// Writes bytes, at most the server's [`write_length`](super::Server::write_length).
    pub async fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), RequestError> {
        self.ask(&Request::Write { handle: &self.handle, offset, data }).await?.done()
    }

    /// Attributes of the open file.
    pub async fn stat(&self) -> Result<Attributes, RequestError> {
        self.ask(&Request::Fstat { handle: &self.handle }).await?.attributes()
    }

    /// Sets the attributes that are present.
    pub async fn set_attributes(&self, attributes: Attributes) -> Result<(), RequestError> {
        self.ask(&Request::Fsetstat { handle: &self.handle, attributes }).await?.done()
    }

    /// Waits until what was written is on the disk.
    pub async fn sync(&self) -> Result<(), RequestError> {
        if !self.client.server().offers(Extension::Fsync) {
            return Err(RequestError::NotOffered { request: RequestName::Fsync });
        }
        self.ask(&Request::Extended(Extended::Fsync { handle: &self.handle })).await?.done()
    }

    /// Closes the file and says whether that went well: some servers tell only now that a write failed.
    pub async fn close(self) -> Result<(), RequestError> {
        self.submit_close().await?.answer().await?.done()
    }

    pub(super) async fn submit_close(mut self) -> Result<Pending, RequestError> {
        let pending = self.submit(&Request::Close { handle: &self.handle }).await?;
        self.open = false;
        Ok(pending)
    }

    pub(super) async fn submit_read(&self, offset: u64, length: u32) -> Result<Pending, RequestError> {
        self.submit(&Request::Read { handle: &self.handle, offset, length }).await
    }

    pub(super) async fn submit(&self, request: &Request<'_>) -> Result<Pending, RequestError> {
        self.client.submit(&self.path, request).await
    }

    /// Sends a WRITE that is already encoded for this file.
    pub(super) async fn submit_write(&self, packet: Vec<u8>) -> Result<Pending, RequestError> {
        let question = Question { request: RequestName::Write, path: self.path.clone() };
        self.client.submit_packet(question, packet).await
    }

    pub(super) fn handle(&self) -> &[u8] {
        &self.handle
    }

    pub(super) async fn ask(&self, request: &Request<'_>) -> Result<super::reply::Reply, RequestError> {
        self.client.ask(&self.path, request).await
    }
}

impl Drop for RemoteFile {
    fn drop(&mut self) {
        if self.open {
            // A connection that is gone has closed it already.
            let _ = self.client.shared.closes.send(std::mem::take(&mut self.handle));
        }
    }
}

/// What a submitted READ of up to `length` bytes gives.
pub(super) async fn chunk_of(pending: Pending, length: u32) -> Result<Option<Chunk>, RequestError> {
    Ok(pending.answer().await?.into_data(length)?.map(|packet| Chunk { packet }))
}
