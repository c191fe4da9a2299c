"""``/sshd/keys``: where the server's owner has a key installed, and the page where they confirm it.

What must stay true: only the owner is heard, not a person with whom the server is shared, not an admin, not a service; with
``ask``, a key that is not there yet is installed only after the owner, signed in at a browser, said so: no token can.
"""

import os
import secrets
import time
from datetime import datetime, timezone

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.escape import xhtml_escape

from .installed_keys import Key, NotAKey
from .person import may_use_ssh

# Seconds that a request waits for its answer.
PATIENCE = 600
MOST_REQUESTS = 20
MOST_OFFERED = 30
# Without those that look like others.
_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


class Requests:
    """Keys that wait for their owner's word."""

    def __init__(self):
        self._waiting = {}

    def add(self, keys, address):
        """The request, and what it is called."""
        self._forget_old()
        if len(self._waiting) >= MOST_REQUESTS:
            raise web.HTTPError(503, "too many keys wait for a word; answer or let them pass first")
        name = secrets.token_urlsafe(16)
        code = "".join(secrets.choice(_LETTERS) for _ in range(8))
        request = {"code": f"{code[:4]}-{code[4:]}", "keys": keys, "address": address}
        self._waiting[name] = {**request, "state": "waiting", "since": time.monotonic()}
        return name, self._waiting[name]

    def find(self, name):
        self._forget_old()
        return self._waiting.get(name)

    def _forget_old(self):
        now = time.monotonic()
        self._waiting = {name: one for name, one in self._waiting.items() if now - one["since"] < PATIENCE}


class _OwnersHandler:
    """What both doors ask first."""

    def initialize(self, mode, keys, requests):
        super().initialize()
        self._mode = mode
        self._keys = keys
        self._requests = requests

    async def judge(self):
        """Refuses everybody but the owner."""
        owner = os.environ.get("JUPYTERHUB_USER")
        if not owner:
            raise web.HTTPError(403, "keys are installed behind a JupyterHub only")
        hub_user = getattr(self.current_user, "hub_user", None)
        if hub_user is None and isinstance(self.current_user, dict):
            # Before jupyterhub's own server extension.
            hub_user = self.current_user
        if not isinstance(hub_user, dict) or hub_user.get("kind") != "user" or hub_user.get("name") != owner:
            raise web.HTTPError(403, f"only {owner}, whose server it is, may install keys; this is a token of somebody else")
        if not await may_use_ssh(self):
            raise web.HTTPError(403, "this person may not use terminals here")

    def refuse_where_off(self):
        if self._mode == "off":
            raise web.HTTPError(403, "off")

    def put(self, keys):
        self._keys.put(keys)
        for key in keys:
            self.log.info("a key was installed: %s %r, until %s", key.fingerprint, key.title, key.expires)


class KeysHandler(_OwnersHandler, APIHandler):
    """Lists, takes and removes keys."""

    async def get(self):
        await self.judge()
        name = self.get_argument("request", None)
        if name is not None:
            request = self._requests.find(name)
            self.finish({"state": request["state"] if request else "gone"})
            return
        self.finish({"mode": self._mode, "keys": [key.model() for key in self._keys.list()]})

    async def post(self):
        await self.judge()
        self.refuse_where_off()
        offered = self._offered()
        there = {key.blob for key in self._keys.list()}
        if self._mode == "ask" and not all(key.blob in there for key in offered):
            name, request = self._requests.add(offered, self.request.remote_ip)
            self.log.info("a key waits for its owner's word, code %s", request["code"])
            page = url_path_join(self.base_url, "sshd/confirm", name)
            self.set_status(202)
            self.finish({"id": name, "code": request["code"], "page": page})
            return
        try:
            self.put(offered)
        except NotAKey as error:
            raise web.HTTPError(400, str(error)) from error
        self.set_status(201)
        self.finish({"keys": [key.model() for key in offered]})

    async def delete(self):
        await self.judge()
        if not self._keys.remove(self.get_argument("fingerprint")):
            raise web.HTTPError(410, "there is no such key")
        self.log.info("a key was removed: %s", self.get_argument("fingerprint"))
        self.set_status(204)
        self.finish()

    def _offered(self):
        body = self.get_json_body()
        lines = body.get("keys") if isinstance(body, dict) else None
        if not isinstance(lines, list) or not 0 < len(lines) <= MOST_OFFERED:
            raise web.HTTPError(400, f"keys is a list of 1 to {MOST_OFFERED} lines")
        title, expires = body.get("title") or "", body.get("expires")
        try:
            end = None if expires is None else datetime.fromisoformat(expires.replace("Z", "+00:00"))
        except (AttributeError, ValueError) as error:
            raise web.HTTPError(400, "expires is a time as 2030-01-31T12:00:00Z") from error
        if end is not None:
            if end.tzinfo is None:
                raise web.HTTPError(400, "expires wants a zone: 2030-01-31T12:00:00Z")
            end = end.astimezone(timezone.utc)
        if not isinstance(title, str):
            raise web.HTTPError(400, "title is a text")
        try:
            return [Key.parse(line, title, end) for line in lines]
        except NotAKey as error:
            raise web.HTTPError(400, str(error)) from error


class ConfirmHandler(_OwnersHandler, JupyterHandler):
    """The page where the owner says yes or no. A form of the browser's, checked against forgery as all of Jupyter's."""

    @property
    def content_security_policy(self):
        return "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"

    @web.authenticated
    async def get(self, name):
        await self._judge_person()
        request = self._requests.find(name)
        if request is None or request["state"] != "waiting":
            self.set_status(404)
            self.finish(_page("<h1>Nothing waits here</h1><p>The request was answered, or is older than ten minutes.</p>"))
            return
        keys = "".join(
            f"<li><code>{xhtml_escape(key.fingerprint)}</code> {xhtml_escape(key.title)}</li>" for key in request["keys"]
        )
        end = request["keys"][0].expires
        until = f"until {end:%Y-%m-%d %H:%M} UTC" if end else "for ever"
        self.finish(
            _page(
                f"<h1>Let this key into your server?</h1><p>Code: <strong>{request['code']}</strong></p><ul>{keys}</ul>"
                f"<p>Asked for from {xhtml_escape(request['address'])}. Whoever has the key can do all that you can do "
                f"here, {until}. Say yes only if you have just started this yourself and your terminal shows the same "
                f"code.</p><form method='post'>{self.xsrf_form_html()}"
                "<button name='answer' value='yes'>Let it in</button> <button name='answer' value='no'>No</button></form>"
            )
        )

    @web.authenticated
    async def post(self, name):
        await self._judge_person()
        request = self._requests.find(name)
        if request is None or request["state"] != "waiting":
            raise web.HTTPError(404, "nothing waits here")
        if self.get_body_argument("answer") != "yes":
            request["state"] = "refused"
            self.finish(_page("<h1>The key stays out</h1>"))
            return
        try:
            self.put(request["keys"])
        except NotAKey as error:
            raise web.HTTPError(400, str(error)) from error
        request["state"] = "allowed"
        self.finish(_page("<h1>The key is in</h1><p>You can close this page.</p>"))

    async def _judge_person(self):
        await self.judge()
        self.refuse_where_off()
        # A token is what a program has; the word is to be a person's, who is signed in.
        if "Authorization" in self.request.headers or self.get_query_argument("token", None) is not None:
            raise web.HTTPError(403, "this page is for browsers; a token confirms nothing")


def _page(body):
    style = "body{font:16px sans-serif;max-width:40em;margin:3em auto}strong{font:bold 1.4em monospace}"
    return f"<!doctype html><html lang='en'><title>SSH keys</title><style>{style}</style>{body}</html>"
