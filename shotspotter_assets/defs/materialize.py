"""Builders of a city's assets, which record the versions of their inputs, and the facts that Dagster's catalogue shows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, timedelta
from functools import cache, partial, update_wrapper, wraps
from inspect import cleandoc, signature, unwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import dagster as dg

from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.publication import NEXT_DAY_FROM
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.partitions import SINGLE_RUN, asset_key, mapping_of, partitions_of, run_days
from shotspotter_assets.defs.requested_runs import give_way
from shotspotter_assets.defs.resources import Log, SourcesResource, Store, StoreResource
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.stored_file import Partitions, StoredTable, Whole

if TYPE_CHECKING:
    from shotspotter_assets.automation.stored import Stored

DAILY_PRODUCTS: Final = frozenset({Asset.RISK_FORECASTS, Asset.PATROL_PLANS, Asset.CITY_PAGES})
"""Assets of which only the newest state counts, and which are made each day."""
HOURS_TO_MAKE: Final = 2  # from the hour from which the next day's forecast is issued to the deadline
MAX_TAG_CHARACTERS: Final = 63


def tags(city: City, asset: Asset) -> dict[str, str]:
    """Return the tags of a city's asset: its city, its kind of partitions, and its targets if it has files of each."""
    targets = [name[:MAX_TAG_CHARACTERS] for name in city.targets] if asset.is_by_target else []
    return {
        "shotspotter/city": city.name,
        "shotspotter/partitions": asset.spec.partitions.name.lower(),
        **{f"target/{name}": "" for name in targets},
    }


def definition_metadata(
    city: City, asset: Asset, table: StoredTable | None, body: Callable[..., Any]
) -> dict[str, Any]:
    """Return the place of the function that makes an asset, and the name and columns of its table."""
    code = unwrap(body).__code__
    source = dg.LocalFileCodeReference(file_path=code.co_filename, line_number=code.co_firstlineno)
    references = {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[source])}
    if table is None:
        return references
    return references | {"dagster/table_name": f"{city.name}.{asset}"} | panel.column_schema(table)


def with_address(spec: dg.AssetSpec, store_root: str) -> dg.AssetSpec:
    """Return the spec of a city's asset with the address of its folder in the store."""
    city, asset = spec.key.path
    root = store_root.rstrip("/") if "://" in store_root else str(Path(store_root).absolute())
    return spec.merge_attributes(metadata={"dagster/uri": f"{root}/{asset}/city={city}"})


def freshness_policy(city: City, asset: Asset) -> dg.FreshnessPolicy | None:
    """Return the daily deadline of a product of an automated city; None for other assets."""
    if asset not in DAILY_PRODUCTS or city.automation == "manual" or city.end is not None:
        return None
    return _daily_deadline(NEXT_DAY_FROM + HOURS_TO_MAKE, city.time_zone)


@cache  # Dagster computes the shortest interval of the cron schedule, which takes milliseconds
def _daily_deadline(hour: int, time_zone: str) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.cron(f"0 {hour} * * *", timedelta(hours=HOURS_TO_MAKE), time_zone)


def table_of_partition(store: Store, city: City, table: StoredTable, key: date | None) -> panel.Metadata:
    """Return the address of a stored table, that of the main target, and the rows of all targets; empty without it."""
    stores = [of_target for of_target, _ in city.by_target(store)] if table.is_by_target else [store]
    present = [of_target for of_target in stores if of_target.exists(table, city.name, key)]
    if not present:
        return {}
    rows = sum(of_target.row_count(table, city.name, key) for of_target in present)
    return panel.stored_rows(present[0], city, table, key, rows)


Body = Callable[..., panel.Metadata]
"""Function of log, store, city and key that writes one partition (a day, or the cutoff of a fold) and returns its panel.

The function of an asset with a launchpad also takes its `config`.
"""


class CityDefinition(ABC):
    """Decorator of a body, which is then built for each city that has the asset."""

    asset: Asset
    body: Callable[..., Any]

    def __call__(self, body: Callable[..., Any]) -> Self:
        """Take the decorated body."""
        self.body = body
        return self

    @abstractmethod
    def of(self, city: City) -> dg.AssetsDefinition:
        """Build the asset, or its checks, of a city."""

    def of_city(self, city: City) -> Callable[..., Any]:
        """Return the body without its parameter `city`, for Dagster, which reads parameters."""
        of_city = update_wrapper(partial(self.body, city=city), self.body)
        declared = signature(self.body)
        parameters = [parameter for name, parameter in declared.parameters.items() if name != "city"]
        vars(of_city)["__signature__"] = declared.replace(parameters=parameters)
        return of_city


@dataclass
class RunAsset(CityDefinition):
    """Asset whose body builds all partitions of a run; it takes what a function of `dagster.asset` takes, and `city`.

    One run builds any number of days, and one run each year and each fold, of which one at a time is trained. The page
    shows the docstring and the place of the body, and the columns of `table`.
    """

    asset: Asset
    _: KW_ONLY
    kinds: set[str]
    code_version: str
    table: StoredTable | None = None

    def of(self, city: City) -> dg.AssetsDefinition:
        """Build the asset of a city."""
        asset = self.asset
        compute = self.of_city(city)
        compute.__name__ = str(asset)
        is_of_folds = asset.spec.partitions is Partitions.FOLDS
        is_of_days = asset.spec.partitions not in (Partitions.FOLDS, Partitions.YEARS, Partitions.NONE)
        edges = [
            source for source, relation in asset.inputs.items() if relation is not Whole.APPROVALS and city.has(source)
        ]
        return dg.asset(
            key=asset_key(city, asset),
            group_name=city.name,
            deps=[
                dg.AssetDep(asset_key(city, source), partition_mapping=mapping_of(city, asset, source))
                for source in edges
            ],
            partitions_def=partitions_of(city, asset),
            backfill_policy=SINGLE_RUN if is_of_days else None,
            pool="training" if is_of_folds and not city.is_simulated else None,
            kinds=self.kinds,
            tags=tags(city, asset),
            owners=[city.contact] if city.contact else None,
            code_version=self.code_version,
            metadata=definition_metadata(city, asset, self.table, self.body),
            freshness_policy=freshness_policy(city, asset),
            config_schema=self.config_schema(),
            description=cleandoc(self.body.__doc__ or ""),
        )(compute)

    def config_schema(self) -> Any:
        """Return the schema of the launchpad; None for an asset without settings, or with those of its parameter `config`."""
        return None


@dataclass
class Product(RunAsset):
    """Asset whose body makes the partitions one by one (`Body`)."""

    launchpad: type[dg.Config] | None = None

    def config_schema(self) -> Any:
        return None if self.launchpad is None else self.launchpad.to_config_schema()

    def of_city(self, city: City) -> Callable[..., Any]:
        """Return the function that writes the partitions of a run."""

        def materialize(context: dg.AssetExecutionContext, store: StoreResource) -> None:
            from shotspotter_assets.automation.stored import Stored

            give_way(context.run.tags)
            opened = store.open()
            config = context.op_execution_context.op_config
            make = self.body
            if self.launchpad is not None:
                make = partial(make, config=self.launchpad.model_validate(config))
            keys = [None] if self.asset.spec.partitions is Partitions.NONE else run_days(context, city)
            self.write(Stored.read(opened, city), keys, context, lambda key: make(context.log, opened, city, key))

        return materialize

    def write(
        self,
        stored: "Stored",
        keys: Sequence[date | None],
        context: dg.AssetExecutionContext,
        make: Callable[[Any], panel.Metadata],
    ) -> None:
        """Write partitions by `make`, and show the panel of each."""

        def write(key: date | None) -> str:
            metadata = make(key)
            if self.table is not None:
                metadata |= table_of_partition(stored.store, stored.city, self.table, key)
            context.add_asset_metadata(metadata, partition_key=None if key is None else str(key))
            return str(metadata.get("data_version", ""))

        stored.write(self.asset, keys, write)


@dataclass
class TableProduct(Product):
    """Product of days whose body also gets the rows of a side table (`RAW_SCHEMA` with `row_texts`).

    They are the rows of the days that `Spec.rows` names; a run reads them once.
    """

    def of_city(self, city: City) -> Callable[..., Any]:
        """Return the function that writes the partitions of a run from the present rows of the side table."""
        [(section, relation)] = self.asset.spec.rows.items()
        assert relation.first is not None
        before = timedelta(days=relation.first)
        after = timedelta(days=relation.last)

        def materialize(context: dg.AssetExecutionContext, store: StoreResource, sources: SourcesResource) -> None:
            """Write each day from the rows that are read once."""
            import pyarrow.compute as pc

            from shotspotter_assets.alerts.sources.side_settings import table_site
            from shotspotter_assets.alerts.sources.side_tables import table_rows
            from shotspotter_assets.automation.stored import Stored

            opened = store.open()
            days = run_days(context, city)
            sources.look_at_tables(city, opened, local_time.now(), poll_seconds=None)
            stored = Stored.read(opened, city)
            stored.table_state(section)  # before the rows: a change in between makes the days due
            site = table_site(city, section)
            rows = table_rows(site, sources.readers(site, opened), opened, days[0] + before, days[-1] + after)

            def make(day: date) -> panel.Metadata:
                of_day = rows.filter((pc.field("date") >= day + before) & (pc.field("date") <= day + after))
                return self.body(context.log, opened, city, day, of_day)

            self.write(stored, days, context, make)

        return materialize


@dataclass
class Check(CityDefinition):
    """Check of an asset, on each of its partitions; its body takes what one of `dagster.asset_check` takes, and `city`."""

    asset: Asset
    blocking: bool = False

    def of(self, city: City) -> dg.AssetChecksDefinition:
        """Build the check of a city."""
        return dg.asset_check(
            asset=asset_key(city, self.asset), partitions_def=partitions_of(city, self.asset), blocking=self.blocking
        )(self.of_city(city))


@dataclass
class Checks(CityDefinition):
    """Checks of an asset that run as one, with the functions behind them by name."""

    asset: Asset
    functions: Mapping[str, Callable[..., Any]]

    def of(self, city: City) -> dg.AssetChecksDefinition:
        """Build the checks of a city."""
        key = asset_key(city, self.asset)
        partitions = partitions_of(city, self.asset)
        specs = [
            dg.AssetCheckSpec(
                name, asset=key, description=(check.__doc__ or name).splitlines()[0], partitions_def=partitions
            )
            for name, check in self.functions.items()
        ]
        return dg.multi_asset_check(name=f"{city.name}__{self.body.__name__}", specs=specs)(self.of_city(city))


def for_each_target(body: Body) -> Body:
    """Return a body that makes a partition for each target; the panel names targets if there are several."""

    @wraps(body)
    def each_target(log: Log, store: Store, city: City, key: Any, config: dg.Config | None = None) -> panel.Metadata:
        make = body if config is None else partial(body, config=config)
        panels = [(view, make(log, of_target, view, key)) for of_target, view in city.by_target(store)]
        return panel.of_targets(panels)

    return each_target
