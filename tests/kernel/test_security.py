"""Secrets: tokens, encryption, signatures, passwords."""

import asyncio

import pytest
from cryptography.fernet import InvalidToken

from ocs.kernel.security import Passwords, Vault, new_token, token_hash


def test_tokens_are_forty_hex_characters_and_never_repeat() -> None:
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(len(token) == 40 and int(token, 16) >= 0 for token in tokens)
    assert len({token_hash(token) for token in tokens}) == 1000


def test_only_the_same_key_decrypts_and_verifies() -> None:
    vault, stranger = Vault("a" * 40), Vault("b" * 40)
    sealed = vault.encrypt("token")
    assert b"token" not in sealed
    assert vault.decrypt(sealed) == "token"
    with pytest.raises(InvalidToken):
        stranger.decrypt(sealed)
    signature = vault.sign("download", "frame 1")
    assert vault.verify("download", "frame 1", signature)
    assert not vault.verify("download", "frame 2", signature)
    assert not vault.verify("session", "frame 1", signature)
    assert not stranger.verify("download", "frame 1", signature)


async def test_passwords_are_hashed_off_the_event_loop() -> None:
    passwords = Passwords()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticker = asyncio.create_task(tick())
    stored = await passwords.hash("correct horse")
    ticker.cancel()
    assert stored.startswith("$argon2id$")
    assert ticks > 5
    assert await passwords.verify("correct horse", stored) == (True, None)
    assert (await passwords.verify("wrong", stored))[0] is False
    assert (await passwords.verify("anything", "!unusable"))[0] is False
    assert (await passwords.verify("anything", None))[0] is False
