"""What can go wrong with proposals.

::

    InvalidInput
    └── InsufficientIpp     a debit of intra-proposal priority is larger than what is left
"""

from ocs.kernel.errors import InvalidInput


class InsufficientIpp(InvalidInput):
    """The proposal has not enough intra-proposal priority left for this."""

    code = "insufficient_ipp"

    def __init__(self, semester_id: str, available_h: float, needed_h: float) -> None:
        super().__init__(
            body={
                "non_field_errors": [
                    f"The intra-proposal priority would cost {needed_h:.3f} hours, and "
                    f"{available_h:.3f} hours are left in semester {semester_id}; lower ipp_value."
                ]
            }
        )
        self.available_h = available_h
        self.needed_h = needed_h
