"""Lists of many runs, and what has changed in them."""


def test_every_change_makes_a_run_the_newest(store):
    """Whatever is said of a run, or logged by it: whoever asks for what came after a version hears of it once."""
    project = store.runs.project("p", create=True)
    run, _ = store.runs.open(project, "a")
    for name in ("b", "c"):
        store.runs.open(project, name)
    changes = [
        lambda: store.runs.update(run, notes="x"),
        lambda: store.runs.seen(run),
        lambda: store.history.append(run.id, [(0, {"x": 1})]),
        lambda: store.history.truncate(run.id, -1),
        lambda: store.runs.delete([run]),
        lambda: store.runs.restore([run]),
        lambda: store.end(run, 0),
    ]

    for change in changes:
        before = store.listing.version(project)
        change()
        assert [each.name for each in store.listing.changed(project, before)] == ["a"]
        assert store.listing.version(project) > before


def test_a_page_of_runs_continues_where_the_last_one_ended(store):
    project = store.runs.project("p", create=True)
    runs = [store.runs.open(project, f"r{i}")[0] for i in range(5)]
    store.runs.delete(runs[1:2])

    first = store.listing.page(project, 2)
    second = store.listing.page(project, 2, before=first[-1].id)

    assert [each.name for each in first + second] == ["r4", "r3", "r2", "r0"]
    assert [each.name for each in store.listing.page(project, 9, deleted=True)] == ["r1"]
