"""How long an answer is on its way."""

import socket

from fulgurite.track.server.serve import listening


def test_an_answer_is_sent_at_once():
    """Its second packet must not wait 40 ms for the first one to be acknowledged: each connection inherits that."""
    with listening("127.0.0.1", None) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
