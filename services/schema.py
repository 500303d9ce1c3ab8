"""All tables, for Alembic and for whoever must see the whole database. Each feature has its own in `tables`.

Enumerations are text with a named CHECK, which a migration can change. Ids and digests collate as "C": Python
compares them byte by byte too, and the order in which rows are locked relies on both sides agreeing.

Locks are taken in one order everywhere, so that no two transactions can wait for each other: that of writers
against the collector (`upkeep.collected`), then an atlas, then the lease, then what it holds (a network, a
training, rows of `work` by subject, a scan, visualizations by digest, with their artifacts), then jobs by id,
then tallies by name, then the learned cost of the work.
"""

from services.access.tables import ApiKeyRow, BrowserSessionRow
from services.atlases.tables import AtlasEntryRow, AtlasLayerRow, AtlasRow, AtlasVersionRow
from services.base.tables import Base
from services.catalog.tables import GeneratorRow, LayerRow, LookRow, NetworkRow
from services.comparison.tables import ComparedLayerRow, ComparedUnitRow, ComparisonRow
from services.estimates.tables import LearnedCostRow
from services.exemplars.tables import CropPackRow, ExemplarRow, ScanRow, UnitStatisticsRow
from services.exports.tables import AtlasExportPartRow, AtlasExportRow, AtlasImportRow
from services.grids.tables import GridOrderRow
from services.jobs.tables import JobRow, JobVisualizationRow
from services.maps.tables import AtlasMapRow, MapRow
from services.pictures.tables import ArtifactRow, RecipeRow, VisualizationRow
from services.queue.tables import LeaseRow, WorkerRow, WorkRow
from services.search.tables import EmbeddingRow, ExcitationRow, PictureLabelRow
from services.sheets.tables import AtlasSheetRow, SheetRow, SheetTileRow
from services.trainings.tables import TrainingRow, TrainingSampleRow
from services.upkeep.tables import CollectedRow, TallyRow

__all__ = [
    "ApiKeyRow",
    "ArtifactRow",
    "AtlasEntryRow",
    "AtlasExportPartRow",
    "AtlasExportRow",
    "AtlasImportRow",
    "AtlasLayerRow",
    "AtlasMapRow",
    "AtlasRow",
    "AtlasSheetRow",
    "AtlasVersionRow",
    "Base",
    "BrowserSessionRow",
    "CollectedRow",
    "ComparedLayerRow",
    "ComparedUnitRow",
    "ComparisonRow",
    "CropPackRow",
    "EmbeddingRow",
    "ExcitationRow",
    "ExemplarRow",
    "GeneratorRow",
    "GridOrderRow",
    "JobRow",
    "JobVisualizationRow",
    "LayerRow",
    "LearnedCostRow",
    "LeaseRow",
    "LookRow",
    "MapRow",
    "NetworkRow",
    "PictureLabelRow",
    "RecipeRow",
    "ScanRow",
    "SheetRow",
    "SheetTileRow",
    "TallyRow",
    "TrainingRow",
    "TrainingSampleRow",
    "UnitStatisticsRow",
    "VisualizationRow",
    "WorkRow",
    "WorkerRow",
]
