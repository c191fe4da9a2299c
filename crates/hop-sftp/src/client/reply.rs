//! Responses as what a request asked for.

use tokio::sync::oneshot;

use super::connection::Submission;
use super::error::{ConnectionError, Refused, RequestError};
use super::{Client, Shared};
use crate::codec::{
    Attributes, LENGTH_PREFIX, MAX_PACKET_LENGTH, Malformed, Request, Response, ServerPacket, StatusCode,
};
use crate::requests::RequestName;

/// A request that has been submitted.
#[derive(Debug)]
pub(super) struct Pending {
    client: Client,
    question: Question,
    reply: oneshot::Receiver<Vec<u8>>,
}

/// What was asked, for errors.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) request: RequestName,
    pub(super) path: Vec<u8>,
}

/// The answer to a question.
#[derive(Debug)]
pub(super) struct Reply {
    question: Question,
    packet: Vec<u8>,
}

impl Client {
    /// Sends a request and waits for its answer.
    pub(super) async fn ask(&self, path: &[u8], request: &Request<'_>) -> Result<Reply, RequestError> {
        self.submit(path, request).await?.answer().await
    }

    /// Sends a request; its answer can be waited for later. Requests take effect in the order in which this is called.
    pub(super) async fn submit(&self, path: &[u8], request: &Request<'_>) -> Result<Pending, RequestError> {
        let Some(name) = RequestName::of(request) else {
            // No method builds one without a name.
            return Err(RequestError::NotOffered { request: RequestName::Limits });
        };
        let mut packet = Vec::new();
        request.encode(0, &mut packet);
        self.submit_packet(Question { request: name, path: path.to_vec() }, packet).await
    }

    /// Sends a request that is already encoded.
    pub(super) async fn submit_packet(
        &self,
        question: Question,
        packet: Vec<u8>,
    ) -> Result<Pending, RequestError> {
        if packet.len() > MAX_PACKET_LENGTH.saturating_add(LENGTH_PREFIX) {
            return Err(RequestError::TooLong { request: question.request, length: packet.len() });
        }
        let (sender, reply) = oneshot::channel();
        match self.shared.submissions.send(Submission { packet, reply: sender }).await {
            Ok(()) => Ok(Pending { client: self.clone(), question, reply }),
            Err(_) => Err(self.shared.lost()),
        }
    }
}

impl Shared {
    fn lost(&self) -> RequestError {
        RequestError::Connection(self.ended.get().cloned().unwrap_or(ConnectionError::Abandoned))
    }
}

impl Pending {
    /// Waits for the answer.
    pub(super) async fn answer(self) -> Result<Reply, RequestError> {
        match self.reply.await {
            Ok(packet) => Ok(Reply { question: self.question, packet }),
            Err(_) => Err(self.client.shared.lost()),
        }
    }
}

impl Reply {
    /// "Done".
    pub(super) fn done(self) -> Result<(), RequestError> {
        self.take(|response| match response {
            Response::Status { code: StatusCode::Ok, .. } => Some(()),
            _ => None,
        })
    }

    pub(super) fn handle(self) -> Result<Vec<u8>, RequestError> {
        self.take(|response| match response {
            Response::Handle(handle) => Some(handle.to_vec()),
            _ => None,
        })
    }

    pub(super) fn attributes(self) -> Result<Attributes, RequestError> {
        self.take(|response| match response {
            Response::Attributes(attributes) => Some(attributes),
            _ => None,
        })
    }

    /// A single name.
    pub(super) fn path(self) -> Result<Vec<u8>, RequestError> {
        self.take(|response| match response {
            Response::Name(entries) => entries.first().map(|entry| entry.name.to_vec()),
            _ => None,
        })
    }

    /// What `read` makes of the payload of an extended reply.
    pub(super) fn payload<T>(
        self,
        read: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T, RequestError> {
        self.take(|response| match response {
            Response::ExtendedReply(payload) => read(payload).ok(),
            _ => None,
        })
    }

    /// What `read` makes of the response; `None` at the end of a file or directory.
    pub(super) fn unless_end<T>(
        self,
        read: impl FnOnce(Response<'_>) -> Option<T>,
    ) -> Result<Option<T>, RequestError> {
        self.take(|response| match response {
            Response::Status { code: StatusCode::Eof, .. } => Some(None),
            other => read(other).map(Some),
        })
    }

    /// The packet as it came, if it holds data, up to `asked` bytes of it; `None` at the end of the file. Data
    /// without bytes would have its reader ask for ever.
    pub(super) fn into_data(self, asked: u32) -> Result<Option<Vec<u8>>, RequestError> {
        let most = usize::try_from(asked).unwrap_or(usize::MAX);
        match ServerPacket::decode(&self.packet) {
            Ok(ServerPacket::Response { response: Response::Data(data), .. })
                if (most.min(1)..=most).contains(&data.len()) =>
            {
                Ok(Some(self.packet))
            }
            _ => self.unless_end(|_| None),
        }
    }

    fn take<T>(self, read: impl FnOnce(Response<'_>) -> Option<T>) -> Result<T, RequestError> {
        let Self { question: Question { request, path }, packet } = self;
        let response = match ServerPacket::decode(&packet) {
            Ok(ServerPacket::Response { response, .. }) => response,
            Ok(ServerPacket::Version(_)) | Err(_) => return Err(RequestError::Unexpected { request }),
        };
        let refused = match &response {
            Response::Status { code, message, .. } => Some((*code, message.to_vec())),
            _ => None,
        };
        match (read(response), refused) {
            (Some(value), _) => Ok(value),
            (None, Some((code, message))) if code != StatusCode::Ok => {
                let message = if message.is_empty() { code.message().into() } else { message };
                Err(RequestError::Refused(Box::new(Refused { request, path, code, message })))
            }
            (None, _) => Err(RequestError::Unexpected { request }),
        }
    }
}

/// The handle in a HANDLE packet.
pub(super) fn handle_of(packet: &[u8]) -> Result<Vec<u8>, Malformed> {
    match ServerPacket::decode(packet)? {
        ServerPacket::Response { response: Response::Handle(handle), .. } => Ok(handle.to_vec()),
        ServerPacket::Response { id, .. } => Err(Malformed { id: Some(id), field: "handle" }),
        ServerPacket::Version(_) => Err(Malformed { id: None, field: "handle" }),
    }
}
