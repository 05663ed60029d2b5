"""What a running process has at hand; handlers, jobs and commands all work on the same objects."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from ocs.kernel.changes import ChangeListener
from ocs.kernel.clock import Clock
from ocs.kernel.database import Database
from ocs.kernel.jobs import CpuPool, Jobs
from ocs.kernel.objects import ObjectStore
from ocs.kernel.security import Authenticator, Passwords, Vault
from ocs.kernel.settings import Settings
from ocs.kernel.wire.limits import RateCounts
from ocs.kernel.wire.route import runtime_of


@dataclass(slots=True)
class Runtime:
    """Everything a module needs from outside itself.

    `solver_pool` and `reader_pool` are processes for CPU work: a long solve must not hold up the reading of
    new files.
    """

    settings: Settings
    clock: Clock
    database: Database
    vault: Vault
    passwords: Passwords
    authenticator: Authenticator
    objects: ObjectStore
    listener: ChangeListener
    jobs: Jobs
    limits: RateCounts
    solver_pool: CpuPool = field(default_factory=CpuPool)
    reader_pool: CpuPool = field(default_factory=CpuPool)


async def _runtime(request: Request) -> Runtime:
    return runtime_of(request)


RuntimeDep = Annotated[Runtime, Depends(_runtime)]
