"""A probe's answer as a run folder: that of a training of one epoch, whose weights did not move but for the head."""

from collections.abc import Sequence

from clfctl.data.cache.make import Sources
from clfctl.engine.assemble import Parts
from clfctl.engine.first_files import first_state
from clfctl.engine.trainer import Trainer
from clfctl.evaluation.epoch_metrics import Tally, measured
from clfctl.probing.found import Probed, record_of
from clfctl.runs.folder import RunFolder, create_run
from clfctl.runs.history import EpochResult
from clfctl.runs.state import held
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json, write_json_lines


def save_run(parts: Parts, best: Probed, found: Sequence[Probed]) -> RunFolder:
    """Write the run of the best network, with what was found of all in probe.json. Raises WriteError or UsageError."""
    settings, data = parts.settings, parts.data
    run = create_run(settings.runs_dir, settings.run_name, "probe")

    def conclude(trainer: Trainer) -> None:
        state = trainer.state
        result = EpochResult(
            epoch=1,
            lr_start=0.0,
            lr=0.0,
            metrics=_metrics(best),
            is_best=True,
            images_per_s=best.features_per_s or 0.0,
            time_s=best.seconds,
        )
        state.cursor.history.append(result)
        state.cursor.next_epoch()
        trainer.saver.save_best(state)
        write_json_lines(run.history, [result.as_record()])
        write_text(run.probe, dump_json([record_of(each) for each in found]) + "\n")

    with held(run):
        # Before it is a run: one that was killed meanwhile would be trained by `resume`, head and network alike.
        first_state(run, parts, Sources(data.train.source, data.val.source), conclude)
    return run


def _metrics(best: Probed) -> dict[str, float]:
    """Return the metrics of an epoch, of the validation images; nothing was trained, so there is no training loss."""
    return measured("train", Tally(0, 0.0)) | measured("val", best.tally)
