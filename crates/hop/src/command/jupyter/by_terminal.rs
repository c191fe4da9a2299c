//! A server in which nothing can be installed: `hop` is put into its owner's home by the server's file API, and keys beside it,
//! by scripts that run in a terminal of the server.
//!
//! What must stay true: it is done for the server's owner only; a program counts when it has arrived whole; what is uploaded is
//! gone from the person's files afterwards.

use super::{TIME, failed, hub};
use crate::command::proxy::explain::{TokenFrom, refused};
use crate::command::proxy::terminal::{KEYS, accepted, answer_of, beside};
use crate::error::{CommandError, ErrorKind, OrFail};
use crate::output;
use base64ct::{Base64, Encoding as _};
use hop_jupyter::{Hub, PublicLine, Record};
use hop_link::{ClientOptions, Method, Request, Secret, Target};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;

/// Where the program is over there; `hop proxy --through-terminal` looks there.
const FOLDER: &str = ".local/share/hop";
/// How much of it is sent at once, in bytes: three of them are four characters of base64.
const CHUNK: usize = 6 << 20;

/// The server, as its owner reaches it.
struct Server {
    target: Target,
    options: ClientOptions,
    /// In the names of what is uploaded, so that two who do this at once do not meet.
    id: String,
}

/// Puts the program and the keys there.
pub(super) async fn set_up(
    hub: &Hub,
    record: &mut Record,
    lines: &[PublicLine],
    binary: Option<&Path>,
) -> Result<(), CommandError> {
    let holder = hub.holder().await.map_err(failed)?;
    if holder.kind == "service" || holder.name != record.user {
        let words = format!(
            "only {}, whose server it is, may put keys there; this is a token of somebody else",
            record.user
        );
        return Err(CommandError::new(ErrorKind::Denied, words));
    }
    let server = Server::of(record, hub.options())?;
    let path = match binary {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().or_fail(ErrorKind::Internal)?,
    };
    let program = std::fs::read(&path).map_err(|error| {
        CommandError::new(ErrorKind::Config, format!("cannot read {}: {error}", path.display()))
    })?;
    let sum = hex(&Sha256::digest(&program));
    let look = format!(
        "told \"$(uname -s) $(uname -m) $(sha256sum \"$HOME/{FOLDER}/bin/hop\" 2>/dev/null | cut -c1-64)\"\n"
    );
    let there = server.run(&look).await?;
    let mut words = there.split(' ');
    let (system, machine) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if binary.is_none() && (system, machine) != ("Linux", std::env::consts::ARCH) {
        let words = format!(
            "the server is a machine of another kind: {system} {machine}; this hop is for Linux {}",
            std::env::consts::ARCH
        );
        return Err(CommandError::new(ErrorKind::Config, words).hint("--binary FILE gives a hop for it"));
    }
    let is_new = words.next() != Some(sum.as_str());
    if is_new {
        server.upload(&program).await?;
    }
    let end = record.end_for_keys(Timestamp::now());
    let id = &server.id;
    let program = if is_new {
        format!(
            "[ \"$(sha256sum hop-setup-{id}.bin | cut -c1-64)\" = {sum} ] || {{ rm -f hop-setup-{id}.bin; told damaged; }}\n\
             chmod 700 hop-setup-{id}.bin && mv -f hop-setup-{id}.bin \"$folder/bin/hop\" || told cannot write below $folder\n"
        )
    } else {
        String::new()
    };
    let runs = "\"$folder/bin/hop\" --version > /dev/null 2>&1 || told it does not run: $(\"$folder/bin/hop\" --version 2>&1 | head -n 1)\n";
    let answer = server
        .run(&format!("{}{program}{runs}{}", prepared(), keys_script(lines, end, "told done\n")))
        .await?;
    done(&answer, "hop is not set up in the server")?;
    record.keys_end = end;
    record.keys = lines.iter().map(|line| line.key.fingerprint().to_string()).collect();
    output::note(
        "hop and the key are in the server's home. SSH goes through its terminals, which is slower.",
    );
    Ok(())
}

/// Gives keys a new end.
pub(super) async fn put_keys(
    record: &Record,
    token: &Secret,
    lines: &[PublicLine],
    end: Option<Timestamp>,
) -> Result<(), CommandError> {
    let hub = hub(&record.hub, record.ca_file.as_deref())?.with_token(token.clone());
    let server = Server::of(record, hub.options())?;
    let answer = server.run(&format!("{}{}", prepared(), keys_script(lines, end, "told done\n"))).await?;
    done(&answer, "the key has no new end")
}

/// Takes the keys of this machine out again, and the program with the last of them; says what stays.
pub(super) async fn remove(record: &Record, token: &Secret) {
    let removed = async {
        let hub = hub(&record.hub, record.ca_file.as_deref())?.with_token(token.clone());
        let server = Server::of(record, hub.options())?;
        let rest = "grep -q '^[^#]' \"$keys\" || rm -f \"$keys\" \"$folder/bin/hop\" \"$folder/terminal.log\"\ntold done\n";
        let script = format!("{}{}", prepared(), without(&record.keys, rest));
        done(&server.run(&script).await?, "not removed")
    };
    if let Err(error) = removed.await {
        output::warning(&format!(
            "hop and the key stay in the server's home ({}): ~/{FOLDER}/bin/hop, ~/{KEYS}",
            error.message()
        ));
    }
}

fn done(answer: &str, what: &str) -> Result<(), CommandError> {
    match answer {
        "done" => Ok(()),
        why => Err(CommandError::new(ErrorKind::Unavailable, format!("{what}: {why}"))),
    }
}

/// The beginning of scripts that change something.
fn prepared() -> String {
    format!(
        "umask 077\nfolder=\"$HOME/{FOLDER}\"\nkeys=\"$HOME/{KEYS}\"\n\
         mkdir -p \"$folder/bin\" || told cannot write below $folder\ntouch \"$keys\" || told cannot write $keys\n"
    )
}

/// Replaces these keys in the file, then does the rest. Each line ends with its key's fingerprint: that is what is remembered here,
/// wherever the key came from.
fn keys_script(lines: &[PublicLine], end: Option<Timestamp>, rest: &str) -> String {
    let end = end.map(|end| format!("expiry-time=\"{}\" ", end.strftime("%Y%m%d%H%M%SZ")));
    let fingerprints: Vec<String> = lines.iter().map(|line| line.key.fingerprint().to_string()).collect();
    let text: String = lines
        .iter()
        .zip(&fingerprints)
        .map(|(line, fingerprint)| {
            let comment = format!("{} {fingerprint}", line.comment);
            format!("{}{}\n", end.as_deref().unwrap_or_default(), line.key.to_line(comment.trim_start()))
        })
        .collect();
    // A line of keys begins with an option or an algorithm, never with this word.
    without(&fingerprints, &format!("cat >> \"$keys\" << 'END-OF-KEYS'\n{text}END-OF-KEYS\n{rest}"))
}

/// Takes the keys with these fingerprints out of the file, then does the rest.
fn without(fingerprints: &[String], rest: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":+/".contains(c);
    let these: String = fingerprints
        .iter()
        .filter(|fingerprint| !fingerprint.is_empty() && fingerprint.chars().all(is_plain))
        .map(|fingerprint| format!(" -e {fingerprint}"))
        .collect();
    if these.is_empty() {
        return rest.to_owned();
    }
    format!(
        "grep -vF{these} \"$keys\" > \"$keys.new\"\nmv -f \"$keys.new\" \"$keys\" || told cannot write $keys\n{rest}"
    )
}

impl Server {
    fn of(record: &Record, options: &ClientOptions) -> Result<Self, CommandError> {
        let target = Target::parse(&record.url).or_fail(ErrorKind::Config)?;
        let options = ClientOptions { time: TIME, ..options.clone() };
        // Chance enough to tell two from each other.
        let id = format!("{:016x}", RandomState::new().build_hasher().finish());
        Ok(Self { target, options, id })
    }

    /// Runs a script there; what it says by `told`.
    async fn run(&self, script: &str) -> Result<String, CommandError> {
        let id = &self.id;
        let name = format!("hop-setup-{id}.sh");
        // The marker is put together there: the line that is typed does not have it.
        let begin = format!(
            "cd \"$(dirname \"$0\")\"\nrm -f {name}\ntold() {{ printf 'hop-%s-{id} %s\\n' told \"$*\"; exit; }}\n"
        );
        let text = format!("{begin}{script}");
        self.put(&name, &json!({ "type": "file", "format": "text", "content": text })).await?;
        answer_of(&self.target, &self.options, &name, &format!("hop-told-{id} ")).await
    }

    async fn upload(&self, program: &[u8]) -> Result<(), CommandError> {
        let name = format!("hop-setup-{}.bin", self.id);
        let count = program.len().div_ceil(CHUNK);
        for (index, bytes) in program.chunks(CHUNK).enumerate() {
            output::note(&format!(
                "putting hop into the server: {} of {} MB",
                (index * CHUNK).div_ceil(1_000_000),
                program.len().div_ceil(1_000_000)
            ));
            let content = Base64::encode_string(bytes);
            let mut model = json!({ "type": "file", "format": "base64", "content": content });
            if count > 1 {
                // The last one has a number of its own.
                let number = if index + 1 == count { -1 } else { i64::try_from(index + 1).unwrap_or(-1) };
                if let Some(model) = model.as_object_mut() {
                    model.insert("chunk".to_owned(), json!(number));
                }
            }
            self.put(&name, &model).await?;
        }
        Ok(())
    }

    /// Writes a file where the server's files begin.
    async fn put(&self, name: &str, model: &Value) -> Result<(), CommandError> {
        let refused = |error| {
            refused(&self.target, &error, &TokenFrom::Given)
                .hint("hop is put there by the server's file API (api/contents) and run in its terminals; both must be allowed")
        };
        let place = beside(&self.target, &format!("api/contents/{name}")).map_err(refused)?;
        let body = model.to_string();
        let request = Request { method: Method::Put, json: Some(body.as_bytes()) };
        let answer = hop_link::request(&place, request, &self.options).await.map_err(refused)?;
        accepted(&self.target, &place, answer).map(drop).map_err(refused)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
