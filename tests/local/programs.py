"""Small programs for the supervisor: `python programs.py api|sandbox|worker|ignores-sigterm|exits|long-lines`."""

import http.server
import os
import signal
import sys
import time

PORTS = {"api": "NUDGE_API__PORT", "sandbox": "NUDGE_SANDBOX__PORT"}


class AlwaysReady(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Return 200 for every path."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def finish(*_: object) -> None:
    sys.stdout.write("finished\n")
    sys.exit(0)


def main(verb: str) -> None:
    sys.stdout.write(f"{verb} started\n")
    if verb in PORTS:
        port = int(os.environ[PORTS[verb]])
        http.server.HTTPServer(("127.0.0.1", port), AlwaysReady).serve_forever()
    if verb == "exits":
        sys.exit(3)
    if verb == "long-lines":
        sys.stdout.write("x" * 200_000 + "\nno newline at the end")
        sys.stdout.flush()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if verb == "ignores-sigterm" else finish)
    sys.stdout.write("running\n")
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1])
