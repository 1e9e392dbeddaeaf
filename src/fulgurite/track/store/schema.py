"""The tables, as a list of steps from an empty database to today's. A step that was released is never changed."""

RUNS = """
CREATE TABLE project (
    id INTEGER PRIMARY KEY,
    entity TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    created_at DOUBLE PRECISION NOT NULL,
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
    created_at DOUBLE PRECISION NOT NULL,
    seen_at DOUBLE PRECISION NOT NULL,
    ended_at DOUBLE PRECISION,
    deleted_at DOUBLE PRECISION,
    version INTEGER NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX run_name ON run (project_id, name) WHERE deleted_at IS NULL;
CREATE INDEX run_project ON run (project_id);
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES run (id),
    stream INTEGER NOT NULL,
    path TEXT NOT NULL,
    kinds TEXT NOT NULL,
    count INTEGER NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    waiting INTEGER NOT NULL DEFAULT 0,
    UNIQUE (run_id, stream, path)
);
CREATE TABLE chunk (
    series_id INTEGER NOT NULL REFERENCES series (id),
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
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
    size BIGINT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX blob_md5 ON blob (md5);
CREATE TABLE run_file (
    run_id INTEGER NOT NULL REFERENCES run (id),
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES blob (sha256),
    size BIGINT NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (run_id, name)
);
CREATE INDEX run_file_sha256 ON run_file (sha256);
CREATE TABLE alert (
    id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES run (id),
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    level TEXT NOT NULL,
    raised_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX alert_run ON alert (run_id);
"""

SOURCES = """
CREATE TABLE source (
    path TEXT PRIMARY KEY,
    run_id INTEGER,
    place INTEGER NOT NULL
);
CREATE INDEX source_run ON source (run_id);
"""

# A page that is open asks again and again what has changed since.
CHANGES = "CREATE INDEX run_version ON run (version);"

KEYS = """
CREATE TABLE access_key (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at DOUBLE PRECISION NOT NULL,
    revoked_at DOUBLE PRECISION
);
"""

ARTIFACTS = """
CREATE TABLE artifact_type (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
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
    created_at DOUBLE PRECISION NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL,
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
    ttl BIGINT,
    history_step BIGINT,
    run_id INTEGER,
    client_id TEXT,
    shared_id TEXT,
    wanted_aliases TEXT NOT NULL DEFAULT '[]',
    manifest TEXT REFERENCES blob (sha256),
    size BIGINT NOT NULL DEFAULT 0,
    file_count INTEGER NOT NULL DEFAULT 0,
    created_at DOUBLE PRECISION NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX artifact_digest ON artifact (collection_id, digest);
CREATE INDEX artifact_client ON artifact (client_id);
CREATE INDEX artifact_content ON artifact (manifest);
CREATE TABLE artifact_member (
    id INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES artifact_collection (id),
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    number INTEGER NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
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
    created_at DOUBLE PRECISION NOT NULL,
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
CREATE INDEX artifact_manifest_content ON artifact_manifest (sha256);
CREATE TABLE artifact_entry (
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
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
CREATE INDEX artifact_upload_content ON artifact_upload (sha256);
CREATE TABLE artifact_parts (
    id TEXT PRIMARY KEY,
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    name TEXT NOT NULL,
    md5 TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL
);
"""

SWEEPS = """
CREATE TABLE sweep (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES project (id),
    name TEXT NOT NULL,
    config TEXT NOT NULL,
    display_name TEXT,
    description TEXT,
    state TEXT NOT NULL,
    controller TEXT NOT NULL DEFAULT '{}',
    seed INTEGER NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL,
    UNIQUE (project_id, name)
);
CREATE TABLE sweep_agent (
    id INTEGER PRIMARY KEY,
    sweep_id INTEGER NOT NULL REFERENCES sweep (id),
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    seen_at DOUBLE PRECISION NOT NULL
);
CREATE TABLE sweep_trial (
    id INTEGER PRIMARY KEY,
    sweep_id INTEGER NOT NULL REFERENCES sweep (id),
    number INTEGER,
    trial_key TEXT,
    run_name TEXT NOT NULL,
    parameters TEXT NOT NULL,
    agent_id INTEGER REFERENCES sweep_agent (id),
    given INTEGER NOT NULL DEFAULT 0,
    reported INTEGER NOT NULL DEFAULT 0,
    given_up INTEGER NOT NULL DEFAULT 0,
    stop_asked INTEGER NOT NULL DEFAULT 0,
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (sweep_id, number),
    UNIQUE (sweep_id, trial_key),
    UNIQUE (sweep_id, run_name)
);
CREATE INDEX sweep_agent_sweep ON sweep_agent (sweep_id);
CREATE INDEX sweep_trial_agent ON sweep_trial (agent_id);
CREATE INDEX run_sweep ON run (project_id, sweep);
"""

# An artifact that was logged again keeps the id that its client gave it first; the later ones stand here.
CLIENTS = """
CREATE TABLE artifact_known_as (
    client_id TEXT PRIMARY KEY,
    artifact_id INTEGER NOT NULL REFERENCES artifact (id)
);
CREATE INDEX artifact_known_as_artifact ON artifact_known_as (artifact_id);
"""

# Each entry is (what it brings, its statements). `Database` runs those that a file does not have yet, in this order.
STEPS: list[tuple[str, str]] = [
    ("runs, their series, files and console", RUNS),
    ("how far files of other trackers have been read", SOURCES),
    ("what changed since", CHANGES),
    ("users and their keys", KEYS),
    ("artifacts, their collections and contents", ARTIFACTS),
    ("sweeps, their agents and trials", SWEEPS),
    ("further names that clients have for artifacts", CLIENTS),
]

# Where contents are referred to, as (table, column): what no row here names goes with `Blobs.sweep`.
BLOB_REFERENCES = [
    ("run_file", "sha256"),
    ("artifact", "manifest"),
    ("artifact_entry", "sha256"),
    ("artifact_manifest", "sha256"),
    ("artifact_upload", "sha256"),
]
# Tables that belong to runs by their column ``run_id``: their rows go with the run. Series have parts of their own.
OF_RUNS = ["console", "run_file", "alert", "artifact_run"]
