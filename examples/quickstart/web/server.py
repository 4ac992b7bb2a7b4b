"""The front end: shows the page, puts jobs into the queue, reads results."""
import json
import os
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import redis

PAGE = Path(__file__).parent / "page" / "index.html"
DB = redis.Redis(host=os.environ.get("REDIS_HOST", "localhost"), decode_responses=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/":
            self.reply(200, PAGE.read_bytes(), "text/html; charset=utf-8")
        elif self.path == "/health":
            DB.ping()
            self.reply_json(200, {"ok": True})
        elif self.path == "/jobs":
            ids = DB.lrange("recent", 0, 9)
            self.reply_json(200, [{"id": key, **DB.hgetall(f"job:{key}")} for key in ids])
        elif self.path.startswith("/jobs/"):
            self.show_job(self.path.removeprefix("/jobs/"))
        else:
            self.reply_json(404, {"error": "not found"})

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        text = self.rfile.read(min(length, 10_000)).decode("utf-8", "replace")
        if self.path != "/jobs":
            self.reply_json(404, {"error": "not found"})
            return
        key = uuid.uuid4().hex[:8]
        DB.hset(f"job:{key}", mapping={"text": text, "state": "queued"})
        DB.lpush("queue", key)
        self.reply_json(202, {"id": key})

    def show_job(self, key):
        """Waits until the worker has announced the result, at most ten seconds."""
        if not DB.exists(f"job:{key}"):
            self.reply_json(404, {"error": "no such job"})
            return
        if DB.hget(f"job:{key}", "state") != "done":
            DB.brpop(f"done:{key}", timeout=10)
        self.reply_json(200, {"id": key, **DB.hgetall(f"job:{key}")})

    def reply_json(self, status, value):
        self.reply(status, json.dumps(value).encode(), "application/json")

    def reply(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


print("listening on port 8000", flush=True)
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
