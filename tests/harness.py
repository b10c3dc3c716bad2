# SPDX-License-Identifier: Apache-2.0
"""What the HTTP and interop tests stand on: servers made by conf/quickstart, a client that sends targets exactly as written, users."""
import http.client
import itertools
import json as jsonlib
import os
import re
import socket
import ssl
import subprocess
import time
import urllib.parse

REPO = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
BUILD = os.path.join(REPO, ".build")
QUICKSTART = os.path.join(REPO, "conf", "quickstart")
V3 = "/_matrix/client/v3"
PASSWORD = "correct horse battery staple"

_counter = itertools.count(1)
_stamp = format(int(time.time() * 1000), "x")


def quote(text):
    """One segment of a path or value of a query: nothing is left unquoted that could split it."""
    return urllib.parse.quote(text, safe="")


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


# ---------------------------------------------------------------------- error log
# httpd: "[time] [module:level] [pid N:tid N] ... text"; libraries and sanitizers write plain lines.
_BAD_LEVEL = re.compile(r"\[[a-z0-9_]*:(error|crit|alert|emerg)\]")
_BAD_TEXT = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|exit signal|[Aa]ssertion .*failed"
                       r"|stack smashing|double free|corrupted")


def unannounced(lines, announced=()):
    """The lines that no test said it would cause; `announced` are texts one of which such a line holds."""
    return [line for line in lines if (_BAD_LEVEL.search(line) or _BAD_TEXT.search(line))
            and not any(text in line for text in announced)]


class ErrorLog:
    def __init__(self, path):
        self.path = path
        self.seen = os.path.getsize(path) if os.path.exists(path) else 0
        self.announced = []

    def expect(self, *texts):
        """This test will cause error lines that hold one of these texts, e.g. an MX number."""
        self.announced.extend(texts)

    def new_lines(self):
        with open(self.path, errors="replace") as f:
            f.seek(self.seen)
            lines = f.readlines()
            self.seen = f.tell()
        return [line.rstrip("\n") for line in lines]

    def take_unannounced(self):
        bad = unannounced(self.new_lines(), self.announced)
        self.announced = []
        return bad


# ---------------------------------------------------------------------- requests
class Reply:
    def __init__(self, what, status, headers, body):
        self.what, self.status_code, self.headers, self.body = what, status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return jsonlib.loads(self.body)

    def __getitem__(self, key):
        return self.json()[key]

    def __repr__(self):
        return f"{self.what} -> {self.status_code} {self.text[:2000]}"


class Api:
    """Requests to one server. The target is sent as it stands: %2F, // and .. stay. One connection a request."""

    recorder = None     # sees what goes out and what comes back (schema_check.py)

    def __init__(self, base_url, ca=None, token=None):
        self.base_url, self.ca, self.token = base_url, ca, token
        parts = urllib.parse.urlsplit(base_url)
        self.host, self.port, self.tls = parts.hostname, parts.port, parts.scheme == "https"

    def connect(self, timeout=60):
        if self.tls:
            context = ssl.create_default_context(cafile=self.ca)
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=context)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def request(self, method, target, body=None, headers=None, timeout=60):
        """No expectation and no token: whatever comes back."""
        if self.recorder:
            self.recorder.sending(method, target, body)
        connection = self.connect(timeout)
        try:
            headers = dict(headers or {})
            connection.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
            if body is not None and "Transfer-Encoding" not in headers:
                headers.setdefault("Content-Length", str(len(body)))
            elif body is None and method in ("POST", "PUT"):
                headers.setdefault("Content-Length", "0")
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            reply = Reply(f"{method} {target}", answer.status, answer.headers, answer.read())
        finally:
            connection.close()
        if self.recorder:
            self.recorder.answered(method, target, body, reply)
        return reply

    def call(self, method, target, json=None, *, token=..., status=200, errcode=None, data=None, headers=None, timeout=60):
        """
        One call that must end in `status` (and `errcode`). `json` is the body as a value, `data` as bytes or text;
        `token` is this user's unless given, None sends none. Every answer must be JSON with CORS headers, every error
        have the form of the specification.
        """
        headers = dict(headers or {})
        if json is not None:
            data = jsonlib.dumps(json)
            headers.setdefault("Content-Type", "application/json")
        if isinstance(data, str):
            data = data.encode()
        token = self.token if token is ... else token
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        reply = self.request(method, target, data, headers, timeout)
        if errcode is not None and status == 200:
            status = None
        assert status is None or reply.status_code == status, f"wanted {status}: {reply}"
        if target.startswith("/_matrix/"):
            check_form(reply)
        if errcode is not None:
            assert reply.json()["errcode"] == errcode, f"wanted {errcode}: {reply}"
        return reply


def check_form(reply):
    """CS-API: API standards: an error is an object with errcode and error; CORS on every answer."""
    assert reply.headers.get("Access-Control-Allow-Origin") == "*", f"no CORS header: {reply}"
    if reply.status_code >= 400:
        try:
            error = reply.json()
        except ValueError:
            raise AssertionError(f"an error that is not JSON: {reply}")
        # CS-API: user-interactive authentication: the first challenge says how to go on, and names no error
        if reply.status_code == 401 and "flows" in error and "errcode" not in error:
            return
        assert isinstance(error.get("errcode"), str) and isinstance(error.get("error"), str), f"not the form of an error: {reply}"


class User(Api):
    """A logged-in user of a server."""

    def __init__(self, server, answer, password, https=False):
        super().__init__(server.https_url if https else server.base_url, server.ca, answer.get("access_token"))
        self.server, self.password = server, password
        self.user_id, self.device_id, self.access_token = answer["user_id"], answer.get("device_id"), self.token

    def create_room(self, **body):
        return self.call("POST", f"{V3}/createRoom", body)["room_id"]

    def join(self, room_id):
        return self.call("POST", f"{V3}/join/{quote(room_id)}", {})["room_id"]

    def leave(self, room_id):
        self.call("POST", f"{V3}/rooms/{quote(room_id)}/leave", {})

    def invite(self, room_id, user_id):
        self.call("POST", f"{V3}/rooms/{quote(room_id)}/invite", {"user_id": user_id})

    def send(self, room_id, text="hello", txn=None, type="m.room.message", content=None):
        content = content if content is not None else {"msgtype": "m.text", "body": text}
        txn = txn or f"t{next(_counter)}"
        return self.call("PUT", f"{V3}/rooms/{quote(room_id)}/send/{quote(type)}/{quote(txn)}", content)["event_id"]

    def put_state(self, room_id, type, content, key="", **expect):
        return self.call("PUT", f"{V3}/rooms/{quote(room_id)}/state/{quote(type)}/{quote(key)}", content, **expect)

    def get_state(self, room_id, type, key="", **expect):
        return self.call("GET", f"{V3}/rooms/{quote(room_id)}/state/{quote(type)}/{quote(key)}", **expect)

    def sync(self, since=None, timeout_ms=0, **query):
        query.update({"timeout": timeout_ms} if since is None else {"timeout": timeout_ms, "since": since})
        target = f"{V3}/sync?{urllib.parse.urlencode(query)}"
        return self.call("GET", target, timeout=timeout_ms / 1000 + 60).json()

    def sync_until(self, check, since=None, seconds=20):
        """Long polls until check(answer) is true; returns that answer. Fails after `seconds`."""
        end = time.monotonic() + seconds
        while True:
            answer = self.sync(since, 0 if since is None else 2000)
            if check(answer):
                return answer
            assert time.monotonic() < end, f"not seen within {seconds} s; the last answer was {answer}"
            since = answer["next_batch"]


# ---------------------------------------------------------------------- servers
class Homeserver(Api):
    """One server name: the main one of a quickstart server, or one of its extra vhosts."""

    def __init__(self, told, ca):
        super().__init__(told["base_url"], ca)
        self.https_url, self.server_name, self.dsn = told["https_url"], told["server_name"], told["dsn"]
        self.admin_user, self.admin_password = told["admin_user"], told["admin_password"]

    def unused_name(self, prefix="u"):
        return f"{prefix}-{_stamp}-{next(_counter)}"

    def register(self, name=None, password=PASSWORD, **extra):
        """A fresh user by user-interactive authentication with the dummy stage."""
        body = {"username": name or self.unused_name(), "password": password, **extra}
        first = self.call("POST", f"{V3}/register", body, status=401).json()
        assert {"stages": ["m.login.dummy"]} in first["flows"], first
        body["auth"] = {"type": "m.login.dummy", "session": first["session"]}
        return User(self, self.call("POST", f"{V3}/register", body).json(), password)

    def login(self, name, password=PASSWORD, **extra):
        body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": name}, "password": password, **extra}
        return User(self, self.call("POST", f"{V3}/login", body).json(), password)

    def admin(self):
        return self.login(self.admin_user, self.admin_password)


class Server(Homeserver):
    """conf/quickstart up in a folder of its own."""

    def __init__(self, folder, *options, open_registration=True, rate_limits=False, ports=True):
        self.dir = folder
        self.options = list(options)
        if ports:
            plain, tls = free_ports(2)
            self.options += ["--http", str(plain), "--https", str(tls)]
        if open_registration:
            self.options.append("--open-registration")
        if not rate_limits:
            self.options.append("--no-rate-limits")
        self.up(*self.options)

    def quickstart(self, command, *arguments, check=True, timeout=600):
        done = subprocess.run([QUICKSTART, command, "--dir", self.dir, *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
        assert not check or done.returncode == 0, f"quickstart {command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, *options):
        log = getattr(self, "log", None)
        self.told = jsonlib.loads(self.quickstart("up", "--json", *options, timeout=1800).stdout)
        super().__init__(self.told, self.told["ca"])
        self.vhosts = [Homeserver(v, self.told["ca"]) for v in self.told["vhosts"]]
        self.pid = self.told["pid"]
        if not log:
            self.log = ErrorLog(self.told["error_log"])
            self.log.seen = 0
        return self

    def down(self):
        self.quickstart("down")

    def sql(self, statement):
        """The rows of a statement, columns as text."""
        out = self.quickstart("psql", "-X", "-A", "-t", "-F", "\t", "-c", statement).stdout
        return [line.split("\t") for line in out.splitlines() if line]

    def children(self):
        """Process ids of httpd's children."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/stat") as f:
                    parent = f.read().rsplit(")", 1)[1].split()[1]
            except OSError:   # it ended meanwhile
                continue
            if parent == str(self.pid):
                found.append(int(entry))
        return sorted(found)
