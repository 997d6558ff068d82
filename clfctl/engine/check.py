"""What can be checked of a training before torch is imported, which takes seconds."""

from clfctl.data.sources.base import Data
from clfctl.data.sources.index import count_batches
from clfctl.data.sources.open import open_data
from clfctl.models.sources import source_of
from clfctl.planning.plan import Plan, check_monitor, make_plan, refuse_cautions
from clfctl.runs.folder import check_new_run
from clfctl.settings.groups import TrainSettings


def check_training(settings: TrainSettings) -> tuple[Data, Plan]:
    """Check names and settings, open the data, and plan the learning rate.

    Raises UsageError or DataError for what would keep the training from beginning.
    """
    check_new_run(settings.runs_dir, settings.run_name)
    source_of(settings.model)
    data = open_data(settings, settings.seed)
    check_monitor(settings.monitor, len(data.val), len(data.classes))
    plan = make_plan(settings, count_batches(len(data.train), settings.batch_size, is_shuffled=True))
    refuse_cautions(settings, plan)
    return data, plan
