"""Takes jobs from the queue, one at a time, and writes the result into the database."""
import os
import signal
import sys

import redis

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
DB = redis.Redis(host=os.environ.get("REDIS_HOST", "localhost"), decode_responses=True)
print("waiting for jobs", flush=True)
while True:
    # A job that is under way when the worker dies stays in `working` and is taken up again.
    key = DB.lindex("working", -1) or DB.brpoplpush("queue", "working", timeout=0)
    words = (DB.hget(f"job:{key}", "text") or "").split()
    longest = max(words, key=len, default="")
    with DB.pipeline() as result:
        result.hset(f"job:{key}", mapping={"words": len(words), "longest": longest, "state": "done"})
        result.lpush("recent", key).ltrim("recent", 0, 99)
        result.lpush(f"done:{key}", "1").expire(f"done:{key}", 60)
        result.lrem("working", 1, key)
        result.execute()
    print(f"job {key}: {len(words)} words", flush=True)
