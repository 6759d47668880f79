"""Settings of the workers, which `celery --app dagster_celery.app` finds on the Python path."""

import os

broker_url = os.environ["CELERY_BROKER_URL"]  # amqp://user:password@host:5672//
result_backend = os.environ["CELERY_RESULTS_URL"]  # db+postgresql+psycopg2://user:password@host:5432/dagster

# The broker hands the run of a lost worker to another one, which fails the run; run_retries of dagster.yaml starts it again.
task_acks_late = True
task_reject_on_worker_lost = True
# One run per process, which frees the memory of TensorFlow.
worker_max_tasks_per_child = 1
worker_prefetch_multiplier = 1
broker_connection_retry_on_startup = True
# A worker reports the end of a run once the database answers again: about an hour, at most ten seconds between attempts.
result_backend_max_retries = 360
