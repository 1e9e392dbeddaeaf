"""As much of a W&B server as one run needs, in this process: it keeps what it is sent, and can be told to refuse."""

import base64
import hashlib
import json
import re
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "k" * 40


class WandbStub(ThreadingHTTPServer):
    """Listens on 127.0.0.1. ``status`` other than 200 is answered to everything; ``rows`` and ``blobs`` are kept.

    While ``files_flow`` is cleared, files are received but not answered, as over a slow line.
    """

    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Answers)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.status, self.rows, self.blobs, self.artifacts, self.runs = 200, [], {}, [], []
        self.operations, self.ended = [], []
        self.files_flow = threading.Event()
        self.files_flow.set()
        self.connections = []

    def process_request(self, request, address):
        self.connections.append(request)
        super().process_request(request, address)

    def answer(self, name, given):
        """The ``data`` of one GraphQL operation; what is not known is null, which the client takes."""
        self.operations.append(name)
        one = getattr(self, f"_{name}", None)
        return one(given) if one else {}

    def _Viewer(self, given):
        return {"viewer": {"id": "VXNlcjox", "entity": "local", "username": "local", "flags": "{}"}}

    _GetDefaultEntity = _Viewer

    def _UpsertBucket(self, given):
        self.runs.append(given)
        project = {"id": "UHJvamVjdDox", "name": given["project"], "entity": {"id": "RTox", "name": "local"}}
        bucket = {"id": "UnVuOjE=", "name": given["name"], "displayName": given["displayName"] or "a-run"}
        return {"upsertBucket": {"bucket": {**bucket, "project": project, "historyLineCount": 0}, "inserted": True}}

    def _RunResumeStatus(self, given):
        return {"model": {"id": "UHJvamVjdDox", "name": given["project"], "bucket": None}}

    def _CreateRunFiles(self, given):
        files = [{"name": name, "uploadUrl": f"{self.url}/runfile/{i}"} for i, name in enumerate(given["files"])]
        return {"createRunFiles": {"runID": "UnVuOjE=", "uploadHeaders": [], "files": files}}

    def _ArtifactType(self, given):
        return {"project": None}

    def _CreateArtifact(self, given):
        asked = given["input"]
        aliases = [each["alias"] for each in asked["aliases"]]
        self.artifacts.append({"name": asked["artifactCollectionName"], "aliases": aliases, "committed": False})
        artifact = {"id": _id("Artifact", len(self.artifacts) - 1), "state": "PENDING"}
        return {"createArtifact": {"artifact": {**artifact, "artifactSequence": {"latestArtifact": None}}}}

    def _CreateArtifactManifest(self, given):
        file = {"id": "RjoxNg==", "uploadUrl": f"{self.url}/manifest", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "TTox", "file": file}}}

    def _CreateArtifactFiles(self, given):
        wanted = (given.get("input") or given)["artifactFiles"]
        nodes = [
            {
                "name": each["name"],
                "storagePath": each["name"],
                "uploadUrl": f"{self.url}/blob/{base64.b64decode(each['md5']).hex()}",
                "uploadHeaders": [],
                "artifact": {"id": each["artifactID"]},
            }
            for each in wanted
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def _ArtifactByID(self, given):
        project = {"id": "UHJvamVjdDox", "internalId": "1", "name": "p", "entity": {"name": "local"}}
        return {
            "artifact": {
                "id": given["id"],
                "state": "COMMITTED",
                "digest": "d",
                "size": 1,
                "fileCount": 1,
                "createdAt": "2026-01-01T00:00:00Z",
                "ttlDurationSeconds": -2,
                "ttlIsInherited": True,
                "artifactType": {"name": "model"},
                "artifactSequence": {"name": "model", "project": project},
                "versionIndex": 0,
                "aliases": [],
                "tags": [],
                **dict.fromkeys(("description", "metadata", "historyStep", "commitHash", "updatedAt")),
            }
        }

    def _CommitArtifact(self, given):
        number = int(base64.b64decode(given["artifactID"]).decode().split(":")[1])
        self.artifacts[number]["committed"] = True
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "d"}}}


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.server.status != 200:
            return self.reply({}, self.server.status)
        if self.path == "/graphql":
            asked = json.loads(body)
            name = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
            return self.reply({"data": self.server.answer(name and name[1], asked.get("variables") or {})})
        if self.path.endswith("/file_stream"):
            sent = json.loads(body)
            for row in sent.get("files", {}).get("wandb-history.jsonl", {}).get("content", []):
                self.server.rows.append(json.loads(row))
            if sent.get("complete"):
                self.server.ended.append(sent["exitcode"])
            return self.reply({"exitcode": None, "limits": {}})
        return self.reply({}, 404)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.files_flow.wait(60)
        if self.path.startswith("/blob/"):
            self.server.blobs[hashlib.md5(body).hexdigest()] = len(body)
        self.reply({}, self.server.status)

    def reply(self, data, status=200):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self):
        with suppress(ConnectionError):  # a client that ends breaks its connections off
            super().handle()

    def log_message(self, *args):
        """Nothing to the terminal."""


def _id(kind, number):
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


@contextmanager
def wandb_stub(port=0):
    """A running server; closed at the end."""
    server = WandbStub(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stop(server)
        thread.join(10)


def stop(server):
    """Close the port and all connections, as a server that died; may be called twice."""
    server.shutdown()
    server.server_close()
    for connection in server.connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
