"""The door of ingest for other modules."""

from ocs.ingest import service
from ocs.kernel.runtime import Runtime

__all__ = ["register"]


def register(runtime: Runtime) -> None:
    """Add the jobs that watch the folder and keep the queue short."""
    watcher = service.Watcher(runtime)
    runtime.jobs.add(service.JOB, watcher.tick, every_s=service.SCAN_EVERY_S)
    runtime.jobs.add("ingest.forget", watcher.forget, every_s=service.FORGET_EVERY_S)
