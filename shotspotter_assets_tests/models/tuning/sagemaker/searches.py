"""Searches on the stand-in of SageMaker, on the made-up city of the forecasters' tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from shotspotter_assets.models.tuning.sagemaker.cloud_search import Bill, Cloud, search_in_cloud
from shotspotter_assets.models.tuning.sagemaker.request import Machines, Place
from shotspotter_assets.models.tuning.sagemaker.service import Service
from shotspotter_assets.models.tuning.sagemaker.task_file import packed
from shotspotter_assets.models.tuning.search import Budget
from shotspotter_assets.models.tuning.trials import Trial, TrialStore, TuningTask
from shotspotter_assets_tests.models.tuning.sagemaker.stand_in import BUCKET, IMAGE, Aws
from shotspotter_assets_tests.models.tuning.tasks import journal, task_of

REGRESSION, BOOSTING, NETWORK = "regime_regression", "residual_boosting", "residual_conv_lstm"
RUN_ID = "5f1c9a2e-0000-4000-8000-000000000000"


class SearchInCloud:
    """One search, in which several runs may follow each other."""

    def __init__(self, aws: Aws, root: Path, forecaster: str = REGRESSION, **settings: Any) -> None:
        self.aws, self.lines = aws, list[str]()
        self.task: TuningTask = task_of(forecaster, **settings)
        self.journal: TrialStore = journal(root, forecaster)

    def run(
        self,
        trials: int,
        minutes: float = 5.0,
        parallel: int = 2,
        run_id: str = RUN_ID,
        spot: bool = False,
        seed: int = 0,
        price: float | None = 0.23,
        role: str | None = None,
        job_minutes: float = 60.0,
        is_over: Callable[[], bool] = lambda: False,
    ) -> tuple[list[Trial], Bill]:
        """Search as the asset does."""
        s3 = self.aws.moto_client("s3")
        machines = Machines(role or self.aws.role, IMAGE, "ml.m5.xlarge", spot, job_minutes, price)
        place = Place(f"s3://{BUCKET}/made/{self.task.forecaster}.task.npz", f"s3://{BUCKET}/made/sagemaker")

        def upload() -> None:
            s3.put_object(Bucket=BUCKET, Key=f"made/{self.task.forecaster}.task.npz", Body=packed(self.task))

        cloud = Cloud(
            Service(self.aws.client("sagemaker"), 120.0), self.aws.client("logs"), machines, place, run_id,
            {"shotspotter:city": "small_city"}, upload, is_over, poll_s=0.2,
        )  # fmt: skip
        return search_in_cloud(
            self.task, self.journal, Budget(trials, minutes, parallel), seed, cloud, self.lines.append
        )
