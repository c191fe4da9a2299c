"""The ``hop endpoint`` of this Jupyter server: started when somebody comes, ended with the server.

What must stay true: it listens on a socket that only this user can reach; it is told to end by the end of its standard
input, so that it never outlives the server, however that ends; one start serves all who wait for it.
"""

import asyncio
import json
import os
import signal
import socket
import tempfile
from contextlib import suppress

# From the start of the process to the line that says where it listens: host keys are made the first time (RSA among
# them, some seconds on a busy machine).
START = 60


class EndpointError(Exception):
    """It does not run; the text says why, for the log and for the person who connects."""


class Endpoint:
    """Starts the program when it is needed, and connects to it."""

    def __init__(self, command, environment, log, on_activity):
        """``command`` makes the arguments for two sockets' paths; ``on_activity`` is called when channel data went by."""
        self._command = command
        self._environment = environment
        self._log = log
        self._on_activity = on_activity
        self._starting = asyncio.Lock()
        self._directory = None
        self._process = None
        self._followers = []

    async def connect(self):
        """A connection to it, as a reader and a writer."""
        await self._run()
        try:
            return await asyncio.open_unix_connection(self._path("ssh"))
        except OSError as error:
            raise EndpointError(f"the SSH server does not answer: {error}") from error

    async def hand_over(self):
        """A way to give it a connection: see `HandOver`."""
        await self._run()
        way = socket.socket(socket.AF_UNIX)
        way.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(way, self._path("hand-over"))
        except OSError as error:
            way.close()
            raise EndpointError(f"the SSH server does not answer: {error}") from error
        return HandOver(way)

    async def _run(self):
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                await self._start()

    def _path(self, name):
        return os.path.join(self._directory.name, name)

    async def _start(self):
        # A directory of its own, 0700, and short: a socket's path has at most 107 bytes.
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="hop-", dir=_short_directory())
        arguments = self._command(self._path("ssh"), self._path("hand-over"))
        self._log.info("starting %s", " ".join(arguments))
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment(),
                # Ctrl-C in the server's terminal is for the server, which then ends this one.
                start_new_session=True,
            )
        except OSError as error:
            raise EndpointError(f"cannot start {arguments[0]}: {error}") from error
        said = []
        errors = asyncio.ensure_future(self._follow_errors(process.stderr, said))
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START)
        except asyncio.TimeoutError:
            line = b""
        if not line:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await errors
            raise EndpointError("the SSH server did not start: " + (" ".join(said[-3:]) or "it said nothing"))
        announced = json.loads(line)
        keys = ", ".join(f"{key['algorithm']} {key['fingerprint']}" for key in announced["host_keys"])
        self._log.info("SSH server started (process %d), host keys: %s", process.pid, keys)
        self._process = process
        output = asyncio.ensure_future(self._follow_output(process))
        self._followers = [errors, output]

    async def _follow_errors(self, stream, said):
        while line := await _line(stream):
            text = line.decode("utf-8", "replace").rstrip()
            # What it says is a log line already; only the last ones are kept, for a start that fails.
            said.append(text)
            del said[:-5]
            self._log.info("hop: %s", text)

    async def _follow_output(self, process):
        while await _line(process.stdout):
            self._on_activity()
        status = await process.wait()
        self._log.info("SSH server ended with status %s; the next connection starts it again", status)

    async def stop(self):
        """Ends it: sessions are hung up."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except asyncio.TimeoutError:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None


class HandOver:
    """For one connection whose WebSocket was asked for, and not answered: the program answers, and goes on alone."""

    def __init__(self, way):
        self._way = way

    def give(self, connection, key, beat):
        """Gives a socket, with the request's Sec-WebSocket-Key. Does not wait: nothing of the client's may be read meanwhile."""
        socket.send_fds(self._way, [f"{key} {round(beat * 1000)}\n".encode()], [connection.fileno()])

    async def is_taken(self):
        """Whether the program has it."""
        try:
            return await asyncio.get_running_loop().sock_recv(self._way, 1) == b"y"
        except OSError:
            return False

    def close(self):
        self._way.close()


async def _line(stream):
    """The next line; one that is too long is passed over."""
    while True:
        try:
            return await stream.readline()
        except ValueError:
            continue


def _short_directory():
    """Where a private directory is made: the runtime directory if its path is short enough."""
    preferred = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    usable = len(preferred) < 80 and os.access(preferred, os.W_OK | os.X_OK)
    return preferred if usable else "/tmp"
