"""The instance of the shipped `dagster.yaml`: opening it patches the process, whatever the storage.

The web server and the daemon never load the definitions, but compute which folds a backfill's days belong to, plan
checks and start runs.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEventBatchMetadata
from dagster._core.instance.config import ConcurrencyConfig
from dagster._core.instance.ref import InstanceRef

from shotspotter_assets.dagster_patches import apply, evaluations, planned_checks, queue_log, termination
from shotspotter_assets.dagster_patches.finished_runs import ended_before


class PatchedInstance(dg.DagsterInstance):
    """Stock instance in a patched process, whose runs stay as they ended; `limited_pools` have their default limit from the start.

    The stock queue asks which pools are limited before it gives a pool that it meets for the first time its default
    limit: on a fresh instance, all runs of it that wait are started at once (dagster-io/dagster#31936 may be this).
    """

    def __init__(self, *arguments: Any, limited_pools: Sequence[str] = (), **named: Any) -> None:
        apply()
        evaluations.apply()
        planned_checks.apply()
        queue_log.apply()
        termination.apply()
        if "dagster._cli.proxy_server_manager" in sys.modules:  # the command that starts code servers, and no other
            from shotspotter_assets.dagster_patches import code_server

            code_server.apply()
        if "dagster._daemon.controller" in sys.modules:  # the daemon, and no other
            from shotspotter_assets.dagster_patches import backfill_looks, clock, run_launcher

            backfill_looks.apply()
            clock.apply()
            run_launcher.apply()
        if "dagster_webserver" in sys.modules:  # the web server, and no other
            from shotspotter_assets.dagster_patches import partition_pages

            partition_pages.apply()
        self._limited_pools = frozenset(limited_pools)
        super().__init__(*arguments, **named)
        # The storage of runs is opened before the event log, and SQLite's has nothing to share.
        if share_connections := getattr(self.event_log_storage, "share_connections", None):
            share_connections(self)

    @classmethod
    def config_schema(cls) -> Mapping[str, dg.Field]:
        """What `dagster.yaml` may hold beside the stock settings."""
        return {"limited_pools": dg.Field([str], default_value=[])}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, Any]:
        """The stock storages and launchers where `dagster.yaml` names none."""
        return InstanceRef.config_defaults(base_dir)

    def get_concurrency_config(self) -> ConcurrencyConfig:
        """Stock; the queue asks for it before it looks at the pools."""
        pools, self._limited_pools = self._limited_pools, frozenset()  # the default limit is asked for from here, too
        for pool in pools - self.event_log_storage.get_concurrency_keys() if pools else ():
            self.event_log_storage.initialize_concurrency_limit_to_default(pool)
        return super().get_concurrency_config()

    def handle_new_event(
        self, event: dg.EventLogEntry, *, batch_metadata: DagsterEventBatchMetadata | None = None
    ) -> None:
        """Stock, but for a run that is over (see `finished_runs`).

        Raises:
            RunIsOverError: the event is a materialisation by such a run.
        """
        waits = batch_metadata is not None and not (
            batch_metadata.is_end or len(self._event_buffer[batch_metadata.id]) + 1 >= self._get_event_batch_size()
        )
        over = ended_before(self, event, is_stored=not waits)
        if over is None:
            super().handle_new_event(event, batch_metadata=batch_metadata)
        else:
            how = event.get_dagster_event()
            self.report_engine_event(f"Its process came to an end later: {how.event_type_value}. {how.message}", over)
