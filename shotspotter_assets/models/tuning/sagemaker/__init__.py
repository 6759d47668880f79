"""Searches on AWS: a tuning job of SageMaker, whose training jobs run the project's image.

`train` runs in the container and prints the lines of `log_lines`. Everything else runs beside Dagster: `request` builds the
job, and `tuning_job` creates it, waits for it and adds its training jobs to the study as trials.
"""
