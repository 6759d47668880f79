"""Searches on AWS: `tuning_job` runs beside Dagster, `train` in the containers of a SageMaker tuning job."""
