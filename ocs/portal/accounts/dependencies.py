"""What the addresses of the accounts have in common."""

from typing import Annotated

from fastapi import Depends, Request

from ocs.kernel.runtime import RuntimeDep
from ocs.portal.accounts.service import Accounts


def _accounts(runtime: RuntimeDep) -> Accounts:
    return Accounts(runtime.passwords, runtime.vault, runtime.clock, runtime.database)


def _address(request: Request) -> str:
    address: str = request.scope.get("ocs.client", "")
    return address


AccountsDep = Annotated[Accounts, Depends(_accounts)]
ClientAddress = Annotated[str, Depends(_address)]
