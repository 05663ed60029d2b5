"""What Prometheus is told about the schedule."""

from prometheus_client import Counter, Gauge, Histogram

STAGE_SECONDS = Histogram(
    "ocs_scheduler_stage_seconds",
    "Real seconds of each stage of a scheduling run",
    ["stage"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
RUNS = Counter("ocs_scheduler_runs_total", "Scheduling runs", ["status"])
OBJECTIVE = Gauge("ocs_scheduler_objective", "Sum of the priorities of what is scheduled")
BOUND = Gauge("ocs_scheduler_bound", "Proven upper bound of the objective")
GAP = Gauge("ocs_scheduler_gap", "(bound - objective) / bound")
SCHEDULED = Gauge("ocs_scheduler_scheduled", "Requests in the schedule")
REQUESTS = Gauge("ocs_scheduler_requests", "Requests that could be scheduled")
OBSERVATIONS = Counter(
    "ocs_scheduler_observations_total", "Observations of the schedule by what a run did to them", ["change"]
)
LATE = Counter("ocs_scheduler_late_results_total", "Results that were ready later than expected")
WORKER_FAILURES = Counter("ocs_scheduler_worker_failures_total", "Solver processes that died or hung")
