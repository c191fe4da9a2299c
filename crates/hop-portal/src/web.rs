//! What stands between a network and the pages: connections, TLS, who is asking, and what no page has to check again.

mod address;
mod attempts;
mod cookie;
mod guard;
mod person;
mod serve;
mod tls;

pub use address::{Cidr, CidrError};
pub use serve::ExposedError;
pub use tls::{Tls, TlsError};

pub(crate) use address::Client;
pub(crate) use attempts::Attempts;
pub(crate) use cookie::SessionCookie;
pub(crate) use guard::guard;
pub(crate) use person::{MaybePerson, Person, local_path};
pub(crate) use serve::{check_exposure, serve};
