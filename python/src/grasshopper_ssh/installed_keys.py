"""The file with the keys that were installed through the Hub: authorized_keys lines with their end and where they come from.

What must stay true: nothing but a public key and a plain title gets into the file, whatever was sent; the file is replaced
whole, its owner's alone, and two servers of the same home that write one after the other lose nothing.
"""

import base64
import binascii
import fcntl
import hashlib
import os
import re
from contextlib import contextmanager, suppress
from datetime import datetime, timezone

# Types that log in by themselves; certificates come by trusted_user_ca.
TYPES = {
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
}
MOST_KEYS = 100
MARK = "hop-jupyter:"
_EXPIRY = re.compile(r'expiry-time="(\d{14})Z" ')


class NotAKey(ValueError):
    """What was sent is no key that can be installed; the text says why."""


class Key:
    """A public key with its title and its end."""

    def __init__(self, kind, blob, title, expires):
        self.kind = kind
        self.blob = blob
        self.title = title
        self.expires = expires

    @property
    def fingerprint(self):
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, line, title, expires):
        """Reads a line as ssh-keygen writes it. Its comment gives way to ``title`` unless that is empty."""
        if not isinstance(line, str) or len(line) > 20000:
            raise NotAKey("a key is one line of text")
        words = line.split(None, 2)
        if len(words) < 2 or words[0] not in TYPES:
            raise NotAKey("a line is no public key of a type that is known here")
        kind, blob = words[0], words[1]
        try:
            raw = base64.b64decode(blob, validate=True)
        except (binascii.Error, ValueError) as error:
            raise NotAKey("a key is not base64") from error
        named = len(kind).to_bytes(4, "big") + kind.encode("ascii")
        if not raw.startswith(named) or len(raw) <= len(named):
            raise NotAKey("a key is not of the type that it names")
        # As it is written again: no other spelling of the same bytes.
        blob = base64.b64encode(raw).decode("ascii")
        comment = words[2] if len(words) > 2 else ""
        return cls(kind, blob, _plain(" ".join(part for part in (title, comment) if part)), expires)

    @classmethod
    def of_line(cls, line):
        """Reads a line of the file; ``None`` when it is none of ours."""
        line = line.strip()
        found = _EXPIRY.match(line)
        expires = None
        if found:
            try:
                expires = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
            except ValueError:
                return None
            line = line[found.end() :]
        try:
            key = cls.parse(line, "", expires)
        except NotAKey:
            return None
        key.title = key.title.removeprefix(MARK).strip()
        return key

    def line(self):
        end = f'expiry-time="{self.expires:%Y%m%d%H%M%S}Z" ' if self.expires else ""
        return f"{end}{self.kind} {self.blob} {MARK} {self.title}".rstrip() + "\n"

    def model(self):
        expires = self.expires.strftime("%Y-%m-%dT%H:%M:%SZ") if self.expires else None
        return {"fingerprint": self.fingerprint, "title": self.title, "expires": expires}


class InstalledKeys:
    """The file."""

    def __init__(self, path):
        self.path = path

    def make(self):
        """Makes it, empty, where there is none: a file that is missing refuses every login by it."""
        self._make_folder()
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    def list(self):
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                keys = [Key.of_line(line) for line in file]
        except FileNotFoundError:
            return []
        return [key for key in keys if key is not None]

    def put(self, keys):
        """Adds keys; one that is there gets the new title and end. Those that have ended go."""
        with self._alone():
            now = datetime.now(timezone.utc)
            new = {key.blob for key in keys}
            kept = [key for key in self.list() if key.blob not in new and not (key.expires and key.expires < now)]
            if len(kept) + len(keys) > MOST_KEYS:
                raise NotAKey(f"there are more than {MOST_KEYS} keys")
            self._write(kept + keys)

    def remove(self, fingerprint):
        """Whether it was there."""
        with self._alone():
            before = self.list()
            kept = [key for key in before if key.fingerprint != fingerprint]
            if len(kept) < len(before):
                self._write(kept)
            return len(kept) < len(before)

    def _make_folder(self):
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)

    @contextmanager
    def _alone(self):
        self._make_folder()
        with open(self.path + ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, keys):
        new = self.path + ".new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write("# Keys installed through the Hub (hop jupyter). Other lines are not kept.\n")
            file.writelines(key.line() for key in keys)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.path)


def _plain(title):
    """A title that a line can hold."""
    return "".join(c for c in title if c.isprintable() and c not in '"\\#')[:120].strip()
