"""Counts its visitors in PostgreSQL: GET / adds one and says which copy of the application answered."""
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2

TABLE = "CREATE TABLE IF NOT EXISTS visits (at timestamptz DEFAULT now(), copy text)"


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/alive":
            return self.answer(200, "alive")
        try:
            self.answer(200, f"visit {visit()} seen by {os.uname().nodename}")
        except psycopg2.Error as error:
            self.answer(503, f"the database does not answer: {error}")

    def answer(self, status, text):
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def visit():
    connection = psycopg2.connect(dbname="postgres", connect_timeout=3)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO visits (copy) VALUES (%s)", (os.uname().nodename,))
            cursor.execute("SELECT count(*) FROM visits")
            return cursor.fetchone()[0]
    finally:
        connection.close()


def prepare():
    connection = psycopg2.connect(dbname="postgres", connect_timeout=10)
    try:
        with connection, connection.cursor() as cursor:
            # One copy at a time: two that make the table at once would collide.
            cursor.execute("SELECT pg_advisory_xact_lock(1)")
            cursor.execute(TABLE)
    finally:
        connection.close()


prepare()
ThreadingHTTPServer(("", 8000), Shop).serve_forever()
