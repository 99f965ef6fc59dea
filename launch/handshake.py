"""How the two ends of a connection prove to each other that they know the run's token.

The proof is mutual: HMAC-SHA256, keyed by the token, of a fresh nonce of either side and the name of the side that
proves. The token itself is never sent:

    link                            gateway
    HELLO, the link's nonce   ->
                              <-    HELLO, the gateway's nonce
    the link's proof          ->
                              <-    the gateway's proof
"""

import asyncio
import hmac
import secrets
import socket

from acme_agents.launch import sockets

_MAGIC = b"acme-agents-link"
_VERSION = b"\x01"
HELLO = _MAGIC + _VERSION
_NONCE_BYTES = 32
_PROOF_BYTES = 32


class Stranger(Exception):
    """The other side of a connection does not belong to this run."""


async def prove(network: socket.socket, token: bytes) -> None:
    """The link's part: proves that it knows the token, and has the gateway prove the same.

    Raises:
      Stranger: the gateway does not know the token, or what is there is no gateway.
      OSError: the connection has ended.
    """
    ours = secrets.token_bytes(_NONCE_BYTES)
    await asyncio.get_running_loop().sock_sendall(network, HELLO + ours)
    theirs = await _hello(network)
    await asyncio.get_running_loop().sock_sendall(network, _proof(token, b"link", ours, theirs))
    proof = await sockets.read(network, _PROOF_BYTES)
    if not hmac.compare_digest(proof, _proof(token, b"gateway", ours, theirs)):
        raise Stranger("what is there does not know the run's token")


async def challenge(network: socket.socket, token: bytes) -> bytes:
    """The gateway's part: has the link prove that it knows the token; returns the gateway's own proof, to be sent.

    Raises:
      Stranger: the other side does not know the token, or is no link.
      OSError: the connection has ended.
    """
    theirs = await _hello(network)
    ours = secrets.token_bytes(_NONCE_BYTES)
    await asyncio.get_running_loop().sock_sendall(network, HELLO + ours)
    proof = await sockets.read(network, _PROOF_BYTES)
    if not hmac.compare_digest(proof, _proof(token, b"link", theirs, ours)):
        raise Stranger("it does not know the run's token")
    return _proof(token, b"gateway", theirs, ours)


def checked(token: bytes) -> bytes:
    """Returns the token.

    Raises:
      ValueError: it is empty.
    """
    if not token:
        raise ValueError("The token is empty: everybody knows that one.")
    return token


async def _hello(network: socket.socket) -> bytes:
    """Receives the other side's hello; returns its nonce."""
    hello = await sockets.read(network, len(HELLO))
    if not hello.startswith(_MAGIC):
        raise Stranger("it speaks another protocol")
    if hello != HELLO:
        raise Stranger("it speaks another version of the protocol")
    return await sockets.read(network, _NONCE_BYTES)


def _proof(token: bytes, who: bytes, link_nonce: bytes, gateway_nonce: bytes) -> bytes:
    """The proof that `who` ("link" or "gateway") knows the token; neither side can use the other's."""
    return hmac.digest(token, b"\0".join((HELLO, who, link_nonce + gateway_nonce)), "sha256")
