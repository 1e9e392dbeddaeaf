"""What tests of single pages have in common: a server that is left in time, and clicks by what can be read."""

import json
from contextlib import contextmanager

from support.track_server import served

EVIL = "<img src=x onerror=document.title='run'><script>document.title='run'</script>"


@contextmanager
def shown(browser, folder, **settings):
    """A server whose pages are left before it ends: one that asks it for news would complain."""
    with served(folder, **settings) as running:
        yield running
        browser.open("about:blank")


def made(server, project, name, **known):
    """A run in a project, which is made where it is not there."""
    run, _ = server.store.runs.open(server.store.runs.project(project, create=True), name, **known)
    return run


def put(server, run, name, content):
    """A file of the run."""
    content = content if isinstance(content, bytes) else content.encode()
    server.store.blobs.put(run.id, name, server.store.blobs.keep_bytes(content))
    return name


def click(browser, words, selector="button, a, summary, label"):
    """Click the first thing in sight that says that, or is called that."""
    wanted = json.dumps(words)
    browser.run(
        f"[...document.querySelectorAll({json.dumps(selector)})].find(each => each.offsetParent !== null && "
        f"((each.innerText ?? '').trim().startsWith({wanted}) || each.getAttribute('aria-label') === {wanted})).click()"
    )
