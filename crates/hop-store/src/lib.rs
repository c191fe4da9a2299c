//! All SQL of a site: accounts, keys, projects, members, sessions, what was taken away, and the audit trail, in a SQLite
//! file or a PostgreSQL database.
//!
//! What must stay true:
//! - Reading goes through the repository of an aggregate (`store.accounts()`), writing through a [`Change`]: one
//!   transaction that also holds the audit trail's rows and the [`Revoked`] that gateways must hear of. The few writes
//!   outside of it (a session's begin and end, a key's last use, a web session's use) take nothing away.
//! - Time, ids and tokens come from the caller; the library has no clock and no randomness.
//! - One SQL text serves both databases; the driver's types stay below `db`.

mod access;
mod accounts;
mod alias;
mod audit;
mod certificates;
mod change;
mod db;
mod error;
mod feed;
mod hex;
mod id;
mod invitations;
mod keys;
mod members;
mod open;
mod projects;
mod revocations;
mod schema;
mod sign_in_links;
mod ssh_sessions;
mod store;
mod stored;
mod text;
mod time;
mod token;
mod web_sessions;

pub use access::{Access, AccountAccess, KeyAccess, KeyStanding, Standing};
pub use accounts::{
    Account, AccountChanges, AccountState, Accounts, AddAccountError, ChangeAccountError, NewAccount,
    PasswordHash,
};
pub use alias::{Alias, AliasTextError};
pub use audit::{AuditEntry, AuditFault, AuditFilter, AuditTrail, AuditVerdict};
pub use certificates::{CertificateChanges, Certificates, IssuedCertificate, NewCertificate};
pub use change::{Actor, Change, Through};
pub use error::{DatabaseError, StoreError};
pub use feed::RevocationFeed;
pub use id::{
    AccountId, GatewayId, InvitationId, KeyId, ProjectId, SignInLinkId, SshSessionId, WebSessionId,
};
pub use invitations::{Invitation, InvitationChanges, Invitations, InviteError, NewInvitation};
pub use keys::{AddKeyError, ChangeKeyError, KeyChanges, KeyOwner, KeyUse, Keys, NewKey, StoredKey};
pub use members::{Member, MemberChanges, MemberError, Members, Role};
pub use open::{Location, OpenError, Preparation};
pub use projects::{Environment, NewProject, Project, ProjectChanges, ProjectError, ProjectState, Projects};
pub use revocations::{Revocation, RevocationSeq, Revocations, Revoked};
pub use sign_in_links::{NewSignInLink, SignInLinkChanges, SignInLinks};
pub use ssh_sessions::{EndCause, NewSshSession, SessionEnd, SessionFilter, SshSession, SshSessions};
pub use store::Store;
pub use text::{AccountName, AccountNameError, Title, TitleError};
pub use time::Timestamp;
pub use token::{Token, TokenHash};
pub use web_sessions::{NewWebSession, WebSession, WebSessionChanges, WebSessions};
