"""How the two ends of a connection prove to each other that they know the run's token."""

import asyncio
import hashlib
import hmac
import socket

import pytest

from acme_agents.launch import handshake, sockets

_TOKEN = b"the run's token"


def _meet(link_token: bytes, gateway_token: bytes) -> list[object]:
    """What the link's end and the gateway's end of a connection make of each other: None, or an exception."""

    async def gateway(network: socket.socket) -> None:
        with network:
            proof = await handshake.challenge(network, gateway_token)
            await asyncio.get_running_loop().sock_sendall(network, proof)

    async def link(network: socket.socket) -> None:
        with network:
            await handshake.prove(network, link_token)

    async def both() -> list[object]:
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
        return await asyncio.gather(link(ends[0]), gateway(ends[1]), return_exceptions=True)

    return asyncio.run(both())


def test_who_knows_the_token_is_let_in() -> None:
    assert _meet(_TOKEN, _TOKEN) == [None, None]


def test_another_token_is_turned_away_and_learns_nothing() -> None:
    link, gateway = _meet(b"another", _TOKEN)
    assert isinstance(gateway, handshake.Stranger) and "token" in str(gateway)
    assert isinstance(link, ConnectionError)  # The gateway hung up without its proof.


@pytest.mark.parametrize(
    "said, complaint",
    [(b"GET / HTTP/1.1\r\n" + bytes(50), "another protocol"), (b"acme-agents-link\x02" + bytes(32), "another version")],
)
def test_what_is_no_link_is_a_stranger(said: bytes, complaint: str) -> None:
    async def challenge() -> None:
        one, other = socket.socketpair()
        with one, other:
            other.setblocking(False)
            one.sendall(said)
            await handshake.challenge(other, _TOKEN)

    with pytest.raises(handshake.Stranger, match=complaint):
        asyncio.run(challenge())


def test_a_proof_is_of_who_speaks_and_of_both_nonces() -> None:
    proof = handshake._proof(_TOKEN, b"link", b"1" * 32, b"2" * 32)
    words = b"acme-agents-link\x01\0link\0" + b"1" * 32 + b"2" * 32
    assert proof == hmac.new(_TOKEN, words, hashlib.sha256).digest()
    others = ((b"gateway", b"1", b"2"), (b"link", b"2", b"1"), (b"link", b"1", b"3"))
    assert proof not in [handshake._proof(_TOKEN, who, one * 32, other * 32) for who, one, other in others]


def test_a_read_is_complete_or_fails() -> None:
    async def read(sent: bytes) -> bytes:
        one, other = socket.socketpair()
        with other:
            with one:
                one.sendall(sent)
            other.setblocking(False)
            return await sockets.read(other, 3)

    assert asyncio.run(read(b"abcd")) == b"abc"
    with pytest.raises(ConnectionError, match="hung up"):
        asyncio.run(read(b"ab"))
