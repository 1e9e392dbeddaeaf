"""How long an answer is on its way."""

import http.client
import time


def test_an_answer_is_sent_at_once(server):
    """On one connection: an answer in two pieces must not wait 40 ms for the first one to be acknowledged."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    took = []
    for _ in range(20):
        start = time.perf_counter()
        connection.request("POST", "/graphql", b'{"query": "{ viewer { id } }"}')
        assert connection.getresponse().read()
        took.append(time.perf_counter() - start)
    connection.close()

    assert min(took[1:]) < 0.03
