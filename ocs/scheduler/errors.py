"""What can go wrong in the scheduler, as callers are told."""

from ocs.kernel.errors import InvalidInput, NotFound, Unavailable


class UnknownRun(NotFound):
    """No run has this number; only the latest runs are kept."""

    code = "unknown_run"
    detail = "There is no scheduling run with this id; only the latest runs are kept."


class UnknownRequest(NotFound):
    """The request does not exist, or is not the caller's to see."""

    code = "unknown_request"
    detail = "No Request matches the given query."


class NoSemester(Unavailable):
    """Nothing can be planned outside all semesters."""

    code = "no_semester"
    detail = "No semester contains the present time; create one to schedule in it."


class SolverFailed(Unavailable):
    """The solver's process died or ran out of time, twice."""

    code = "solver_failed"
    detail = "The solver did not answer; the schedule stays as it is. Try again shortly."


class UnknownTelescope(InvalidInput):
    """A telescope that is to be closed in a dry run is not configured."""

    code = "unknown_telescope"

    def __init__(self, resource: str) -> None:
        super().__init__(
            body={
                "closed_telescopes": [
                    f"There is no telescope {'.'.join(reversed(resource.split('.')))}; "
                    "name it as site.enclosure.telescope."
                ]
            }
        )
