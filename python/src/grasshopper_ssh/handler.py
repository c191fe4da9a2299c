"""A WebSocket of the Jupyter server, led to the SSH server: its connection is handed over, or its bytes are passed on.

What must stay true: nothing is handed over or passed on before the server has authenticated the person; each direction waits
for its own reader, so that a stalled client is never buffered for; keepalives are no activity.
"""

import asyncio
import socket

from jupyter_server.base.handlers import JupyterHandler
from tornado import web
from tornado.ioloop import PeriodicCallback
from tornado.iostream import IOStream
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from .endpoint import EndpointError
from .person import may_use_ssh

PIECE = 65536

# How long after the last data a ping is sent, once. websocat 1.x tries once to flush what it writes; what does not fit
# then stays with it until it sends more, be it the answer to a ping. (In the other direction `hop endpoint` pushes.)
PUSH = 1


class SSHHandler(WebSocketHandler, JupyterHandler):
    """``/sshd/``: the bytes of SSH in binary frames."""

    def initialize(self, endpoint, beat, on_idle, hand_over):
        """Says something every ``beat`` seconds. ``on_idle`` is called as often; ``None`` if nobody wants to know."""
        super().initialize()
        self._endpoint = endpoint
        self._is_handed_over = hand_over
        self._every = beat
        self._on_idle = on_idle
        self._reader = self._writer = self._pump = self._beat = self._push = None
        self._is_fresh = False

    # Tornado's own pings want an answer, and answers count as use at a JupyterHub's proxy: see `_say_something`.
    @property
    def ping_interval(self):
        return None

    @property
    def ping_timeout(self):
        return None

    def get_compression_options(self):
        # SSH's bytes are random.
        return None

    def check_origin(self, origin=""):
        return JupyterHandler.check_origin(self, origin)

    def set_default_headers(self):
        # Jupyter's content type and policy are for pages.
        pass

    async def prepare(self):
        # A client of SSH has no use for a sign-in page: whoever is not known hears 403.
        try:
            prepared = super().prepare(_redirect_to_login=False)
        except TypeError:
            # Before jupyter_server 2.13.
            prepared = super().prepare()
        if prepared is not None:
            await prepared

    async def get(self):
        user = self.current_user
        if user is None:
            raise web.HTTPError(403, "no token, or one that is not for this server")
        if not await may_use_ssh(self):
            raise web.HTTPError(403, "this person may not use terminals here")
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise web.HTTPError(405, "this address takes WebSockets, as hop proxy and websocat open them")
        try:
            if self._may_be_handed_over():
                await self._hand_over()
                return
            self._reader, self._writer = await self._endpoint.connect()
        except EndpointError as error:
            self.log.error("no SSH: %s", error)
            raise web.HTTPError(503, str(error)) from error
        await super().get()
        if self.ws_connection is None:
            # The request was no good; tornado has said so.
            self._writer.close()

    def _may_be_handed_over(self):
        """Whether this request is the ordinary one. All others are tornado's: it knows what to answer, and TLS."""
        headers = self.request.headers
        return (
            self._is_handed_over
            and hasattr(socket, "send_fds")
            and type(getattr(self.request.connection, "stream", None)) is IOStream
            and "upgrade" in [word.strip().lower() for word in headers.get("Connection", "").split(",")]
            and headers.get("Sec-WebSocket-Version") == "13"
            and len(headers.get("Sec-WebSocket-Key", "")) == 24
            and ("Origin" not in headers or self.check_origin(headers["Origin"]))
        )

    async def _hand_over(self):
        way = await self._endpoint.hand_over()
        try:
            connection = self.request.connection.stream
            # Nobody may send before the answer (RFC 6455 section 4.1).
            if connection.closed() or getattr(connection, "_read_buffer_size", 0):
                raise web.HTTPError(400, "bytes behind the request")
            connection = self.detach()
            # From here to the close nothing waits: the bytes that come belong to whoever has the connection.
            way.give(connection.socket, self.request.headers["Sec-WebSocket-Key"], self._every)
            connection.close()
            self.set_status(101)
            self.application.log_request(self)
            if not await way.is_taken():
                self.log.error("the SSH server did not take a connection")
        finally:
            way.close()

    def open(self, *_args, **_kwargs):
        self.set_nodelay(True)
        self._beat = PeriodicCallback(self._say_something, self._every * 1000)
        self._beat.start()
        self._pump = asyncio.ensure_future(self._pass_on())

    async def _pass_on(self):
        """From the SSH server to the client, as fast as the client reads."""
        try:
            while piece := await self._reader.read(PIECE):
                await self.write_message(piece, binary=True)
            self.close(1000)
        except WebSocketClosedError:
            pass
        except OSError as error:
            self.close(1011, f"the SSH server is gone: {error.strerror}")

    async def on_message(self, message):
        """From the client to the SSH server; the next message is read when this one was taken."""
        if isinstance(message, str):
            self.close(1003, "a text frame; only binary frames carry SSH (websocat needs --binary)")
            return
        if self._push is None:
            self._push = asyncio.get_running_loop().call_later(PUSH, self._push_on)
        else:
            self._is_fresh = True
        self._writer.write(message)
        try:
            await self._writer.drain()
        except OSError:
            # The other direction says how it ended.
            pass

    def _say_something(self):
        """A pong that nobody asked for, which wants no answer (RFC 6455 section 5.5.3)."""
        if self._on_idle is not None:
            self._on_idle()
        connection = self.ws_connection
        stream = getattr(connection, "stream", None)
        # Not behind what a stalled client has not taken yet.
        if stream is None or stream.closed() or stream.writing():
            return
        connection._write_frame(True, 0xA, b"")

    def _push_on(self):
        is_fresh, self._is_fresh, self._push = self._is_fresh, False, None
        if is_fresh:
            # There was data since; what comes last is to be pushed.
            self._push = asyncio.get_running_loop().call_later(PUSH, self._push_on)
        elif self.ws_connection is not None and not self.ws_connection.is_closing():
            self.ping()

    def on_close(self):
        if self._push is not None:
            self._push.cancel()
        if self._beat is not None:
            self._beat.stop()
        if self._writer is not None:
            self._writer.close()
        if self._pump is not None and self._pump is not asyncio.current_task():
            self._pump.cancel()
