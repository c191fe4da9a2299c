//! What kind of question a prompt is, told by its words.
//!
//! Must stay true: a class only helps a person (its name, whether the answer is shown while it is typed). What is not
//! surely known is [`Class::Unknown`], which goes to a person and nobody else.

use serde::{Deserialize, Serialize};

/// A kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Of a key file.
    Passphrase,
    /// Of the account.
    Password,
    /// A code that is good once.
    Code,
    /// A password and a code in one line.
    PasswordAndCode,
    /// A choice, such as between a push message and a call.
    Menu,
    /// A page to visit.
    Link,
    /// Whether a host is the right one.
    HostKey,
    /// Of a security key or card.
    Pin,
    /// A security key wants to be touched; there is nothing to type.
    Touch,
    /// The account's password has expired.
    NewPassword,
    /// Whether a forwarded key may be used, and the like: yes or no.
    Confirm,
    /// Anything else.
    Unknown,
}

/// What OpenSSH says about a prompt in `SSH_ASKPASS_PROMPT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// It is not set: something is to be typed.
    #[default]
    Answer,
    /// `confirm`: yes or no.
    Confirm,
    /// `none`: something is shown until it is over.
    Notice,
}

impl Class {
    /// Tells it from the prompt's words.
    #[must_use]
    pub fn of(prompt: &str, hint: Hint) -> Self {
        let text = prompt.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        match hint {
            Hint::Notice => return Self::Touch,
            Hint::Confirm => return Self::Confirm,
            Hint::Answer => {}
        }
        // ssh's own words first: a server cannot imitate those that name a file of ours before it is authenticated,
        // but nothing depends on that either.
        if has(&["are you sure you want to continue connecting", "please type 'yes', 'no'"]) {
            return Self::HostKey;
        }
        if has(&["passphrase for"]) {
            return Self::Passphrase;
        }
        if has(&["pin for", "enter pin", "pin:"]) {
            return Self::Pin;
        }
        if has(&["new password", "new unix password", "current password", "retype", "password expired"]) {
            return Self::NewPassword;
        }
        let menu = text.lines().filter(|line| starts_with_number(line)).count() >= 2;
        if menu || has(&["option (1-", "passcode or option", "select", "choose"]) {
            return Self::Menu;
        }
        if has(&["https://", "http://"]) {
            return Self::Link;
        }
        let code = has(&[
            "verification code",
            "one-time",
            "one time",
            "onetime",
            "otp",
            "passcode",
            "token",
            "authenticator",
            "second factor",
            "2fa",
            "mfa",
            "6-digit",
            "6 digit",
            "yubikey",
        ]);
        let password = has(&["password"]);
        // "One-time password" is a code; "Password + OTP" and "password followed by your token" are both.
        let joined = has(&[
            "+",
            "followed by",
            "and otp",
            "and token",
            "and code",
            "and verification",
            "& verification",
            "& otp",
            "&otp",
        ]);
        match (password, code) {
            (true, true) if joined => Self::PasswordAndCode,
            (_, true) => Self::Code,
            (true, false) => Self::Password,
            (false, false) if has(&["code:", "response:", "pin+token"]) => Self::Code,
            (false, false) => Self::Unknown,
        }
    }

    /// Whether the answer is no secret, so that a person may see what is typed.
    #[must_use]
    pub fn echoes(self) -> bool {
        match self {
            Self::Code | Self::Menu | Self::Link | Self::HostKey | Self::Confirm | Self::Touch => true,
            Self::Passphrase
            | Self::Password
            | Self::PasswordAndCode
            | Self::Pin
            | Self::NewPassword
            | Self::Unknown => false,
        }
    }

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Password => "password",
            Self::Code => "one-time code",
            Self::PasswordAndCode => "password and one-time code",
            Self::Menu => "choice",
            Self::Link => "page to visit",
            Self::HostKey => "host key",
            Self::Pin => "PIN",
            Self::Touch => "touch",
            Self::NewPassword => "new password",
            Self::Confirm => "confirmation",
            Self::Unknown => "question",
        }
    }
}

fn starts_with_number(line: &str) -> bool {
    let line = line.trim_start().trim_start_matches(['[', '(']);
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && line.get(digits..).is_some_and(|rest| rest.starts_with(['.', ')', ']', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_as_they_are_met() {
        let unknown_host = "The authenticity of host 'saga (10.0.0.1)' can't be established.\n\
            ED25519 key fingerprint is SHA256:abc.\n\
            Are you sure you want to continue connecting (yes/no/[fingerprint])? ";
        let duo = "Duo two-factor login for alice\n\nEnter a passcode or select one of the following options:\n\n \
            1. Duo Push to XXX-1234\n 2. Phone call\n\nPasscode or option (1-2): ";
        for (prompt, class) in [
            ("Enter passphrase for key '/home/a/.ssh/id_ed25519': ", Class::Passphrase),
            ("alice@saga's password: ", Class::Password),
            ("(alice@10.77.1.1) Password: ", Class::Password),
            ("(alice@10.77.1.1) Verification code: ", Class::Code),
            ("(alice@saga) One-time password (OATH) for `alice': ", Class::Code),
            ("(alice@hpc) Enter Your Microsoft verification code: ", Class::Code),
            ("(alice@hpc) Your OTP: ", Class::Code),
            ("(alice@perlmutter) Password + OTP: ", Class::PasswordAndCode),
            ("Enter your password followed by your token code: ", Class::PasswordAndCode),
            ("(alice@hpc) Password & verification code: ", Class::PasswordAndCode),
            (duo, Class::Menu),
            ("(a@b) Select: [1] push [2] sms ", Class::Menu),
            ("Visit https://idp.example.org/device and enter ABCD-1234, then press Enter: ", Class::Link),
            (unknown_host, Class::HostKey),
            ("Please type 'yes', 'no' or the fingerprint: ", Class::HostKey),
            ("Enter PIN for ED25519-SK key /home/a/.ssh/id_sk: ", Class::Pin),
            ("Enter PIN for 'My card': ", Class::Pin),
            ("(current) UNIX password: Changing... New password: ", Class::NewPassword),
            ("Retype new password: ", Class::NewPassword),
            ("Response: ", Class::Code),
            ("What is your favourite colour? ", Class::Unknown),
            ("", Class::Unknown),
        ] {
            assert_eq!(Class::of(prompt, Hint::Answer), class, "{prompt}");
        }
        assert_eq!(Class::of("Confirm user presence for key", Hint::Notice), Class::Touch);
        assert_eq!(Class::of("Allow use of key x?", Hint::Confirm), Class::Confirm);
    }

    #[test]
    fn only_what_is_no_secret_is_shown_while_it_is_typed() {
        for secret in [Class::Passphrase, Class::Password, Class::PasswordAndCode, Class::Pin, Class::Unknown]
        {
            assert!(!secret.echoes(), "{secret:?}");
        }
    }
}
