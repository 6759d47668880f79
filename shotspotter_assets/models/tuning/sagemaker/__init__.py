"""The search on AWS: a tuning job of SageMaker, whose training jobs run the project's image, followed by the run that made it.

`train` runs in the container and prints the lines of `log_lines`. All else runs beside Dagster: `request` says what the job is,
`service` and `training_logs` ask AWS, and `cloud_search` follows the job and turns its training jobs into finished trials.
"""
