"""Who is let in, and what with: names of the server, pages of strangers, keys and roles."""

import pytest
from starlette.testclient import TestClient

from fulgurite.track.server.access import Policy
from fulgurite.track.server.app import application
from fulgurite.track.server.hosts import Hosts

MUTATION = {"query": 'mutation { upsertModel(input: {name: "made"}) { model { name } } }'}
VIEWER = {"query": "{ viewer { username } }"}


def basic(key):
    return {"auth": ("api", key)}


@pytest.fixture
def public(store):
    """The application as it is when others than this machine can reach it."""
    return TestClient(application(store, Policy(Hosts("0.0.0.0"), demands_keys=True)), "http://192.168.1.5:7007")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7007", "192.168.1.5"]
)
def test_a_name_that_is_not_the_servers_is_refused(client, host):
    """A stranger's page that points its own name at this machine can't read anything."""
    answer = client.get("/api/projects", headers={"host": host})

    assert answer.status_code == 403
    assert host in answer.json()["error"]


@pytest.mark.parametrize("host", ["localhost:7007", "127.0.0.1", "[::1]:7007", "LOCALHOST"])
def test_this_machines_names_are_the_servers(client, host):
    assert client.get("/api/projects", headers={"host": host}).status_code == 200


def test_a_name_can_be_allowed():
    """Behind a proxy the server has another name; a page that came under it is ours, too."""
    hosts = Hosts("127.0.0.1", ["Runs.example.org"])

    assert hosts.are_ours("runs.example.org:443")
    assert hosts.origin_is_ours("https://runs.example.org", "127.0.0.1:7007")
    assert not hosts.are_ours("example.org")


def test_beyond_this_machine_addresses_are_ours_and_foreign_names_are_not():
    """An address can't be rebound, a name can."""
    hosts = Hosts("0.0.0.0")

    assert hosts.are_ours("10.1.2.3:7007") and hosts.are_ours("[fe80::1]:7007")
    assert not hosts.are_ours("evil.example")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:7007", "//x"]
)
def test_a_strangers_page_can_change_nothing(client, store, origin):
    """Also not one that another server of this machine sent, nor a sandboxed one."""
    answer = client.post("/graphql", json=MUTATION, headers={"origin": origin})

    assert answer.status_code == 403
    assert store.runs.projects() == []


def test_our_own_page_can(client, store):
    assert client.post("/graphql", json=MUTATION, headers={"origin": "http://127.0.0.1:7007"}).status_code == 200
    assert [each.name for each in store.runs.projects()] == ["made"]


def test_on_this_machine_any_key_is_good(client):
    """Until somebody was given one: then it is needed here, too, since a machine may have several users."""
    assert client.post("/graphql", json=VIEWER, **basic("x" * 40)).json()["data"]["viewer"]["username"] == "local"
    assert client.get("/api/session").json() == {"name": "local", "role": "admin", "created_at": 0.0, "keys": False}


def test_a_first_key_closes_the_door(client, store):
    """It takes effect at once, also in a server that runs."""
    key = store.users.add("ada", "writer")

    assert client.get("/api/projects").status_code == 401
    assert client.get("/api/projects", **basic("x" * 40)).status_code == 401
    assert client.get("/api/projects", **basic(key)).status_code == 200
    assert client.post("/graphql", json=VIEWER, **basic(key)).json()["data"]["viewer"]["username"] == "ada"


CLOSED = [
    ("POST", "/graphql"),
    ("POST", "/files/local/p/abc/file_stream"),
    ("GET", "/api/projects"),
    ("GET", "/api/session"),
    ("GET", "/api/projects/local/p/runs/abc/files/content?name=x"),
    ("POST", "/api/users"),
    ("GET", "/local/p"),
    ("GET", "/anything"),
    ("GET", "/api"),
    ("GET", "//api/projects"),
]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_others_need_a_key_for_everything(public, method, path):
    """Nothing was given out yet, and nothing is answered."""
    answer = public.request(method, "http://192.168.1.5:7007" + path)

    assert answer.status_code == 401
    assert "fulgurite ui keys add" in answer.json()["error"]


def test_a_browser_without_a_key_gets_a_page_to_log_in(public):
    """The page is the same for every address, and holds nothing."""
    answer = public.get("/local/p", headers={"accept": "text/html"})

    assert answer.status_code == 401
    assert '<main id="view"' in answer.text
    assert public.get("/static/views/login.js").status_code == 200


def test_a_reader_looks_and_changes_nothing(public, store, run):
    """Neither through the protocol, nor the API, nor with a file stream."""
    key = basic(store.users.add("rita", "reader"))

    assert public.get("/api/projects/local/p/runs/abc", **key).json()["name"] == "abc"
    assert public.post("/graphql", json=VIEWER, **key).json()["data"]["viewer"]["username"] == "rita"
    assert "reader" in public.post("/graphql", json=MUTATION, **key).json()["errors"][0]["message"]
    assert public.post("/files/local/p/new/file_stream", json={}, **key).status_code == 403
    assert public.patch("/api/projects/local/p/runs/abc", json={"notes": "x"}, **key).status_code == 403
    assert public.post("/api/projects/local/p/deleted", json={"runs": ["abc"]}, **key).status_code == 403
    assert public.post("/api/users", json={"name": "eve", "role": "admin"}, **key).status_code == 403
    assert [each.name for each in store.runs.all(run.project)] == ["abc"]
    assert store.runs.by_id(run.id).notes is None


@pytest.mark.parametrize("asked", ["uploadUrl", "url(upload: true)"])
def test_a_reader_is_given_no_address_to_write_to(public, store, run, asked):
    """An address needs no key, so that whoever has it may write. A reader is told where to read only."""
    store.blobs.put(run.id, "a.txt", store.blobs.keep_bytes(b"kept"))
    document = (
        f'{{ project(name: "p") {{ run(name: "abc") {{ files {{ edges {{ node {{ asked: {asked} url }} }} }} }} }} }}'
    )

    given = {}
    for role in ("reader", "writer"):
        key = basic(store.users.add(role, role))
        answer = public.post("/graphql", json={"query": document}, **key).json()
        given[role] = answer["data"]["project"]["run"]["files"]["edges"][0]["node"]

    assert given["reader"]["asked"] is None and "/content/" in given["reader"]["url"]
    assert "/upload/" in given["writer"]["asked"]


def test_a_mutation_is_no_query_by_another_name(public, store):
    """Which operation is meant is decided once, for the permission and for the answer."""
    key = basic(store.users.add("rita", "reader"))
    document = "query Harmless { viewer { username } } " + MUTATION["query"].replace("mutation", "mutation Harmful")

    for name in ("Harmful", "", None, "Harmless"):
        public.post("/graphql", json={"query": document, "operationName": name}, **key)

    assert store.runs.projects() == []


def test_a_writer_writes_and_manages_nobody(public, store, run):
    key = basic(store.users.add("wendy", "writer"))

    assert public.patch("/api/projects/local/p/runs/abc", json={"notes": "x"}, **key).status_code == 200
    assert public.post("/graphql", json=MUTATION, **key).json()["data"]["upsertModel"]["model"]["name"] == "made"
    for method, path in [("GET", "/api/users"), ("POST", "/api/users"), ("DELETE", "/api/users/wendy")]:
        assert public.request(method, path, **key).status_code == 403


def test_an_admin_manages_users(public, store):
    """A new user's key is in the answer and nowhere else; a revoked one is good for nothing."""
    key = basic(store.users.add("root", "admin"))

    made = public.post("/api/users", json={"name": "new", "role": "reader"}, **key)
    assert made.status_code == 201
    assert {each["name"] for each in public.get("/api/users", **key).json()["users"]} == {"root", "new"}
    assert made.json()["key"] not in public.get("/api/users", **key).text
    assert public.get("/api/projects", **basic(made.json()["key"])).status_code == 200
    assert public.delete("/api/users/new", **key).status_code == 200
    assert public.get("/api/projects", **basic(made.json()["key"])).status_code == 401


def test_without_keys_nobody_makes_one_through_the_api(client, store):
    """Any program of this machine could else shut its user out."""
    assert client.post("/api/users", json={"name": "eve", "role": "admin"}).status_code == 403
    assert store.users.all() == []


def test_a_browser_logs_in_with_a_cookie_that_scripts_cannot_read(public, store):
    """It is good until the key is revoked or the user logs out."""
    key = store.users.add("ada", "writer")

    answer = public.post("/api/login", json={"key": f" {key}\n"})

    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and key not in cookie
    assert public.get("/api/session").json()["name"] == "ada"
    store.users.revoke("ada")
    assert public.get("/api/session").status_code == 401


def test_a_logged_out_browser_is_nobody(public, store):
    public.post("/api/login", json={"key": store.users.add("ada", "writer")})

    public.post("/api/logout")

    assert public.get("/api/session").status_code == 401


@pytest.mark.parametrize(
    "change", [lambda v: v[:-1] + "x", lambda v: "A" + v, lambda v: v.partition(".")[0], lambda v: "é"]
)
def test_a_cookie_that_was_changed_is_none(public, store, change):
    public.post("/api/login", json={"key": store.users.add("ada", "writer")})
    ((name, value),) = public.cookies.items()
    public.cookies.clear()

    answer = public.get("/api/session", headers={"cookie": f"{name}={change(value)}".encode()})

    assert answer.status_code == 401


def test_a_cookie_of_a_strangers_page_changes_nothing(public, store, run):
    """Beside SameSite, the origin is looked at."""
    public.post("/api/login", json={"key": store.users.add("ada", "writer")})

    answer = public.post(
        "/api/projects/local/p/deleted", json={"runs": ["abc"]}, headers={"origin": "http://x.example"}
    )

    assert answer.status_code == 403
    assert store.runs.by_id(run.id).deleted_at is None


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic w6k=", "Bearer", "Basic " + "QQ" * 5000, "Basic /w=="])
def test_odd_credentials_are_no_key(public, header):
    assert public.get("/api/projects", headers={"authorization": header}).status_code == 401


def test_every_answer_says_what_a_browser_may_do_with_it(client, run):
    """Only our own scripts run, nothing is framed by others, no address is told to others."""
    for path in ("/api/projects", "/static/app.js", "/nothing/here/at/all", "/api/nothing"):
        headers = client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        policy = headers["content-security-policy"]
        assert "unsafe-inline" not in policy and "unsafe-eval" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_nobody_is_shown_how_to_reach_us_from_elsewhere(client):
    """No answer allows other origins to read it."""
    for method in ("GET", "OPTIONS"):
        headers = client.request(method, "/api/projects", headers={"origin": "https://evil.example"}).headers
        assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_our_own_page_may_ask_first_for_a_signed_address(client, method):
    """As the check of `wandb verify` does; the address is the permission, so no cookie goes with it."""
    headers = {"origin": "http://127.0.0.1:7007", "access-control-request-method": method}

    answer = client.options("/content/abc", headers=headers)

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "http://127.0.0.1:7007"
    assert answer.headers["access-control-allow-methods"] == "GET, PUT"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/content/abc", "/upload/abc", "/graphql", "/static/app.js"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8888"])
def test_no_other_page_may(client, origin, path):
    """Nor one of another program on this machine; `null` is what a logged page is shown as."""
    headers = {"origin": origin, "access-control-request-method": "PUT"}

    answer = client.options(path, headers=headers)

    assert not [name for name in answer.headers if name.startswith("access-control")]
