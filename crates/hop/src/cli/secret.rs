//! What can be typed about secrets that logins may use.

use clap::{Args, Subcommand, ValueEnum};
use hop_connect::Alias;

fn alias(text: &str) -> Result<Alias, String> {
    Alias::parse(text).map_err(|error| error.to_string())
}

/// Entrust a password, the seed of one-time codes or a passphrase, for logins without a person
///
/// It is kept in the desktop's keyring, or in an encrypted file where there is none. A login of that host uses it for
/// the very question that you answered once, and for no other; when it is refused once, it is not used again until you
/// say so. No command shows it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  hop secret set saga totp                  asks for the otpauth:// link or the base32 text of your site
  hop secret set saga password
  hop secret list
  hop secret enable saga                    after a refusal, when you know why
  hop secret remove saga totp

For scripts:
  hop secret set saga totp --stdin --site-allows-it --question 'Verification code:' < seed

Whether a program may make the second factor is your site's decision: many forbid it. Ask first.")]
pub(crate) struct Secret {
    #[command(subcommand)]
    pub(crate) action: SecretAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretAction {
    /// Store one, in place of the one before
    Set(SecretSet),
    /// List what is stored, without the secrets
    List(SecretList),
    /// Use what is stored again, after a refusal
    Enable(SecretEnable),
    /// Forget it
    Remove(SecretRemove),
}

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SecretKind {
    /// Of the account
    Password,
    /// The seed of one-time codes: an otpauth:// link or base32
    Totp,
    /// Of the key file
    Passphrase,
}

#[derive(Debug, Args)]
pub(crate) struct SecretSet {
    /// The host, as after ssh
    #[arg(value_parser = alias)]
    pub(crate) host: Alias,
    pub(crate) kind: SecretKind,
    /// Read it from standard input: one line
    #[arg(long)]
    pub(crate) stdin: bool,
    /// A question that it answers, word by word, without ssh's (user@host); else learnt from your next login
    #[arg(long, value_name = "TEXT")]
    pub(crate) question: Vec<String>,
    /// You have made sure that the site allows a program to make its one-time codes
    #[arg(long)]
    pub(crate) site_allows_it: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SecretList {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SecretEnable {
    /// The host
    #[arg(value_parser = alias)]
    pub(crate) host: Alias,
    /// Only this one
    pub(crate) kind: Option<SecretKind>,
}

#[derive(Debug, Args)]
pub(crate) struct SecretRemove {
    /// The host
    #[arg(value_parser = alias)]
    pub(crate) host: Alias,
    /// Only this one
    pub(crate) kind: Option<SecretKind>,
}
