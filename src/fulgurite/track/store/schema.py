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

SOURCES = """
CREATE TABLE source (
    path TEXT PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES run (id),
    place INTEGER NOT NULL
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
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    UNIQUE (project_id, name)
);
CREATE TABLE sweep_agent (
    id INTEGER PRIMARY KEY,
    sweep_id INTEGER NOT NULL REFERENCES sweep (id),
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    created_at REAL NOT NULL,
    seen_at REAL NOT NULL
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
    created_at REAL NOT NULL,
    UNIQUE (sweep_id, number),
    UNIQUE (sweep_id, trial_key),
    UNIQUE (sweep_id, run_name)
);
CREATE INDEX run_sweep ON run (project_id, sweep);
"""

# Each entry is (what it brings, its statements). `Database` runs those that a file does not have yet, in this order.
STEPS: list[tuple[str, str]] = [
    ("runs, their series, files and console", RUNS),
    ("how far files of other trackers have been read", SOURCES),
    ("sweeps, their agents and trials", SWEEPS),
]
