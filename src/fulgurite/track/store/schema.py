"""The tables, as a list of steps from an empty database to today's. A step that was released is never changed."""

RUNS = """
CREATE TABLE project (
    id INTEGER PRIMARY KEY,
    entity TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    created_at REAL NOT NULL,
    UNIQUE (entity, name)
);
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    display_name TEXT,
    notes TEXT,
    group_name TEXT,
    job_type TEXT,
    sweep TEXT,
    tags TEXT NOT NULL DEFAULT '[]',
    config TEXT NOT NULL DEFAULT '{}',
    summary TEXT NOT NULL DEFAULT '{}',
    facts TEXT NOT NULL DEFAULT '{}',
    source TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'running',
    exit_code INTEGER,
    stop_asked INTEGER NOT NULL DEFAULT 0,
    row_count INTEGER NOT NULL DEFAULT 0,
    event_count INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    seen_at REAL NOT NULL,
    ended_at REAL,
    deleted_at REAL,
    version INTEGER NOT NULL DEFAULT 1,
    UNIQUE (project_id, name)
);
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES run (id),
    stream INTEGER NOT NULL,
    path TEXT NOT NULL,
    kinds TEXT NOT NULL,
    count INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    UNIQUE (run_id, stream, path)
);
CREATE TABLE chunk (
    series_id INTEGER NOT NULL REFERENCES series (id),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    tier INTEGER NOT NULL,
    kind TEXT NOT NULL,
    blocks BLOB,
    steps BLOB,
    cells BLOB NOT NULL,
    PRIMARY KEY (series_id, first)
);
CREATE TABLE console (
    run_id INTEGER NOT NULL REFERENCES run (id),
    number INTEGER NOT NULL,
    stream TEXT NOT NULL,
    written_at TEXT,
    label TEXT,
    line TEXT NOT NULL,
    PRIMARY KEY (run_id, number)
);
CREATE TABLE blob (
    sha256 TEXT PRIMARY KEY,
    md5 TEXT NOT NULL,
    size INTEGER NOT NULL,
    created_at REAL NOT NULL
);
CREATE INDEX blob_md5 ON blob (md5);
CREATE TABLE run_file (
    run_id INTEGER NOT NULL REFERENCES run (id),
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES blob (sha256),
    size INTEGER NOT NULL,
    updated_at REAL NOT NULL,
    PRIMARY KEY (run_id, name)
);
CREATE TABLE alert (
    id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES run (id),
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    level TEXT NOT NULL,
    raised_at REAL NOT NULL
);
"""

ARTIFACTS = """
CREATE TABLE artifact_type (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (project_id, name)
);
CREATE TABLE artifact_collection (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES project (id),
    type_id INTEGER NOT NULL REFERENCES artifact_type (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    description TEXT,
    next_number INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    UNIQUE (project_id, name)
);
CREATE TABLE artifact (
    id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL,
    number INTEGER,
    state TEXT NOT NULL,
    digest TEXT NOT NULL,
    description TEXT,
    metadata TEXT,
    ttl INTEGER,
    history_step INTEGER,
    run_id INTEGER,
    client_id TEXT,
    shared_id TEXT,
    wanted_aliases TEXT NOT NULL DEFAULT '[]',
    manifest TEXT REFERENCES blob (sha256),
    size INTEGER NOT NULL DEFAULT 0,
    file_count INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE INDEX artifact_digest ON artifact (collection_id, digest);
CREATE INDEX artifact_client ON artifact (client_id);
CREATE TABLE artifact_member (
    id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES artifact_collection (id),
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    number INTEGER NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (collection_id, artifact_id),
    UNIQUE (collection_id, number)
);
CREATE INDEX artifact_member_artifact ON artifact_member (artifact_id);
CREATE TABLE artifact_alias (
    id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES artifact_collection (id),
    name TEXT NOT NULL,
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    UNIQUE (collection_id, name)
);
CREATE INDEX artifact_alias_artifact ON artifact_alias (artifact_id);
CREATE TABLE artifact_tag (
    owner_id INTEGER NOT NULL REFERENCES artifact (id),
    name TEXT NOT NULL,
    PRIMARY KEY (owner_id, name)
);
CREATE TABLE artifact_collection_tag (
    owner_id INTEGER NOT NULL REFERENCES artifact_collection (id),
    name TEXT NOT NULL,
    PRIMARY KEY (owner_id, name)
);
CREATE TABLE artifact_run (
    run_id INTEGER NOT NULL REFERENCES run (id),
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    role TEXT NOT NULL,
    used_as TEXT,
    created_at REAL NOT NULL,
    PRIMARY KEY (run_id, role, artifact_id)
);
CREATE INDEX artifact_run_artifact ON artifact_run (artifact_id, role);
CREATE TABLE artifact_manifest (
    id INTEGER PRIMARY KEY,
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    kind TEXT NOT NULL,
    base_id INTEGER,
    sha256 TEXT REFERENCES blob (sha256)
);
CREATE INDEX artifact_manifest_artifact ON artifact_manifest (artifact_id);
CREATE TABLE artifact_entry (
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    ref TEXT,
    sha256 TEXT REFERENCES blob (sha256),
    PRIMARY KEY (artifact_id, name)
);
CREATE INDEX artifact_entry_content ON artifact_entry (sha256);
CREATE TABLE artifact_upload (
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES blob (sha256),
    PRIMARY KEY (artifact_id, name)
);
CREATE TABLE artifact_parts (
    id TEXT PRIMARY KEY,
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    name TEXT NOT NULL,
    md5 TEXT NOT NULL,
    created_at REAL NOT NULL
);
"""

# Each entry is (what it brings, its statements). `Database` runs those that a file does not have yet, in this order.
STEPS: list[tuple[str, str]] = [
    ("runs, their series, files and console", RUNS),
    ("artifacts, their collections and contents", ARTIFACTS),
]
