# SPDX-License-Identifier: Apache-2.0
"""A push gateway: an HTTP server on loopback that remembers what it was told and answers as the test says."""
import http.server
import json
import threading
import time

PATH = "/_matrix/push/v1/notify"


class Gateway:
    """
    answers: what the next requests get, one each, then {"rejected": []}: a status, a JSON value, raw bytes, a number of seconds (float) after
    which it answers, or a function of the request's body that gives one of these.
    """

    def __init__(self):
        self.received, self.answers, self.most_at_once = [], [], 0
        self._at_once, self._lock = 0, threading.Condition()
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                gateway._take(self)

            def log_message(self, *_):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}{PATH}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def _take(self, request):
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self._lock:
            self.received.append({"path": request.path, "headers": dict(request.headers), "at": time.monotonic(), **body})
            answer = self.answers.pop(0) if self.answers else {"rejected": []}
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._lock.notify_all()
        try:
            self._answer(request, answer(body) if callable(answer) else answer)
        except OSError:       # who asked has gone
            pass
        finally:
            with self._lock:
                self._at_once -= 1

    def _answer(self, request, answer):
        if isinstance(answer, float):
            time.sleep(answer)
            answer = {"rejected": []}
        status = answer if isinstance(answer, int) else 200
        data = answer if isinstance(answer, bytes) else json.dumps({"rejected": []} if status != 200 or answer == 200 else answer).encode()
        request.send_response(status)
        if status // 100 == 3:
            request.send_header("Location", self.url)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def pushes(self, pushkey=None):
        """The notifications received, of one key or all."""
        with self._lock:
            return [r["notification"] for r in self.received
                    if pushkey is None or r["notification"]["devices"][0]["pushkey"] == pushkey]

    def wait(self, n, pushkey=None, seconds=15):
        """The notifications when there are at least n; fails after `seconds`."""
        end = time.monotonic() + seconds
        while len(found := self.pushes(pushkey)) < n:
            assert time.monotonic() < end, f"{n} pushes were expected within {seconds} s, these came: {found}"
            with self._lock:
                self._lock.wait(0.1)
        return found

    def quiet(self, n, pushkey=None, seconds=1.5):
        """Nothing comes beyond n."""
        time.sleep(seconds)
        found = self.pushes(pushkey)
        assert len(found) == n, found
        return found
