"""What the ingest queue refuses.

::

    QueuedFileNotFound    404
    NothingToRetry        409   the file is archived, or its place is taken
"""

from ocs.kernel.errors import Conflict, NotFound


class QueuedFileNotFound(NotFound):
    """No such file in the queue."""

    code = "queued_file_not_found"


class NothingToRetry(Conflict):
    """The file is not one that can be tried again."""

    code = "nothing_to_retry"
    detail = "Only files that wait or are quarantined can be tried again."
