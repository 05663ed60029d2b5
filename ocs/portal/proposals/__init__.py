"""Who may observe, and how much: semesters, proposals, memberships, time allocations and their ledger."""
