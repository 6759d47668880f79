"""The resources that assets ask for: the store, the sources of alerts, and the receivers of notices.

Loading the definitions must stay quick, so what reads, writes and simulates is imported when a run asks for it.
"""

import os
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import PrivateAttr

from shotspotter_assets.cities.city import City
from shotspotter_assets.settings import Settings
from shotspotter_assets.sources.alert_source import Access
from shotspotter_assets.sources.source_kinds import open_sources

if TYPE_CHECKING:
    from shotspotter_assets.notifications.send import Notifier
    from shotspotter_assets.sources.alert_source import AlertSource
    from shotspotter_assets.storage.store import Store


RUN_ATTEMPTS: Final = 12
"""Of each request to S3 in a run; their waits add up to a minute or two."""
TICK_ATTEMPTS: Final = 3
"""In sensors and elsewhere: a tick is over after a minute and comes again."""


class S3User(dg.ConfigurableResource):
    """A resource that may be on S3; a run waits longer for it than a tick."""

    _is_in_run: bool = PrivateAttr(default=False)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Called by Dagster before a run or a tick."""
        self._is_in_run = context.run is not None

    def _client(self) -> Any:
        """A boto3 client with the credentials, region and endpoint of the usual AWS environment or configuration."""
        from dagster_aws.s3 import S3Resource

        return S3Resource(max_attempts=RUN_ATTEMPTS if self._is_in_run else TICK_ATTEMPTS).get_client()


class StoreResource(S3User):
    """The store that all assets read from and write to: `root` is a folder or `s3://bucket/prefix`."""

    root: str

    def open(self) -> "Store":
        """The store; S3 is only contacted for an `s3://` root."""
        from shotspotter_assets.storage.store import Store

        return Store(self.root, self._client() if self.root.startswith("s3://") else None)

    def caching(self) -> "Store":
        """The store, which reads each window of days once."""
        from shotspotter_assets.storage.store import CachingStore

        return CachingStore(self.root, self._client() if self.root.startswith("s3://") else None)


class SourcesResource(S3User):
    """Where each city's alerts come from; landing folders are below `landing_root`, a folder or `s3://bucket/prefix`.

    Tokens of live sources are read from the environment variables that the city's file names, when they are asked.
    """

    landing_root: str

    def readers(self, city: City, store: "Store") -> "list[AlertSource]":
        """Return the reader of each of `city.all_sources`; the store keeps what was received."""
        return open_sources(city, Access(store, self.landing_root, os.environ, self._client))


class NoticesResource(dg.ConfigurableResource):
    """Who hears of problems: a webhook and e-mail, which environment variables name (`notifications.send`).

    They are read when a notice may have to be sent, so that a mistake in them stops the notices and nothing else.
    """

    ui_url: str

    def open(self) -> "Notifier | None":
        """The notifier; None without a receiver."""
        from shotspotter_assets.notifications.send import Notifier

        notifier = Notifier.from_environment(os.environ)
        return notifier if notifier.webhook_url or notifier.smtp_url else None

    def run_url(self, run_id: str) -> str:
        """Where the UI shows a run."""
        return f"{self.ui_url.rstrip('/')}/runs/{run_id}"


class PagesResource(dg.ConfigurableResource):
    """Where people open the pages: `url` is the address at which a web server shows the store's folder `city_pages`."""

    url: str
    """Empty where none does; the pages then open from the disk."""

    def link(self, path: str, folder: str, name: str = "page") -> dict[str, dg.MetadataValue[Any]]:
        """Entries of the panel that lead to a first page: where its file is, and its address where there is one."""
        file = path.rpartition("/")[2]
        address = f"{self.url.rstrip('/')}/city={folder}/{file}"
        return {
            **({name: dg.MetadataValue.url(address)} if self.url else {}),
            f"{name}_path": dg.MetadataValue.path(path),
        }


class SageMakerResource(dg.ConfigurableResource):
    """Where settings are searched on AWS: `role` and `image` are those of training jobs; both are empty where none run."""

    role: str
    image: str
    poll_s: float = 15.0
    """Seconds between two looks at a tuning job."""

    def client(self, service: str) -> Any:
        """A boto3 client with the credentials, region and endpoint of the usual AWS environment or configuration."""
        import boto3
        from botocore.config import Config

        return boto3.client(service, config=Config(retries={"mode": "adaptive", "max_attempts": 10}))


def resources(settings: Settings) -> dict[str, Any]:
    """The resources by the name under which assets, checks, sensors and schedules ask for them."""
    return {
        "store": StoreResource(root=settings.store_root),
        "sources": SourcesResource(landing_root=settings.landing_root),
        "notices_to": NoticesResource(ui_url=settings.ui_url),
        "pages": PagesResource(url=settings.pages_url),
        "sagemaker": SageMakerResource(role=settings.sagemaker_role, image=settings.sagemaker_image),
    }
