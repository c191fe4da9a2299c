//! Who asks for an operation, and how far that one's word reaches.
//!
//! What must stay true: a caller is made by a door that has checked who it is: the portal from a session, `hop admin`
//! from having opened the store.

use std::net::IpAddr;

use hop_store::{AccountId, Actor, Through};

/// Who asks for an operation.
#[derive(Debug, Clone)]
pub struct Caller {
    actor: Actor,
    powers: Powers,
}

/// How far the caller's word reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Powers {
    /// Somebody who has not signed in: may use a link or an invitation, nothing else.
    Visitor,
    /// What this account may do.
    Account(AccountId),
    /// Who can open the store itself; a refusal would only move them to the database's own tools.
    Operator,
}

impl Caller {
    /// Whoever runs the site, from a shell or as the site itself: everything is allowed.
    pub const fn operator(through: Through) -> Self {
        Self { actor: Actor { account: None, through, address: None }, powers: Powers::Operator }
    }

    /// A person who has signed in.
    pub const fn account(account: AccountId, through: Through, address: Option<IpAddr>) -> Self {
        Self { actor: Actor::account(account, through, address), powers: Powers::Account(account) }
    }

    /// Somebody who has not signed in.
    pub const fn visitor(through: Through, address: Option<IpAddr>) -> Self {
        Self { actor: Actor { account: None, through, address }, powers: Powers::Visitor }
    }

    /// Who it is in the audit trail.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The account, if a person has signed in.
    pub const fn account_id(&self) -> Option<AccountId> {
        match self.powers {
            Powers::Account(account) => Some(account),
            Powers::Visitor | Powers::Operator => None,
        }
    }

    pub(super) const fn powers(&self) -> Powers {
        self.powers
    }

    /// The same visitor, now known to be this account: what it does from here on is recorded as the account's.
    pub(super) const fn become_account(&self, account: AccountId) -> Self {
        Self::account(account, self.actor.through, self.actor.address)
    }
}
