"""What Prometheus is told."""

from prometheus_client import Counter, Gauge, Histogram

REQUEST_SECONDS = Histogram(
    "ocs_request_seconds",
    "Time from request to answer",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
JOB_SECONDS = Histogram(
    "ocs_job_seconds",
    "Duration of a background job",
    ["job"],
    buckets=(0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300),
)
JOB_FAILURES = Counter("ocs_job_failures_total", "Background jobs that failed", ["job"])
IS_LEADER = Gauge("ocs_is_leader", "1 where this replica runs the periodic work")
