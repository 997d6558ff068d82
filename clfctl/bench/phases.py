"""What bench-data measures, phase by phase, on the loader, the model and the step that train would use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch

from clfctl.bench.feeds import (
    Files,
    Runner,
    dali_feed,
    loader_feed,
    n_ahead_of,
    n_ahead_of_rival,
    take_turns,
    torchvision_feed,
)
from clfctl.bench.rows import NONE, LoaderRow, Rates, Stage
from clfctl.bench.sample_cache import CacheKind, SampleCache, make_sample_cache
from clfctl.bench.stages import Work, time_stages
from clfctl.bench.steps import endless_steps, model_rate, wait_for
from clfctl.bench.windows import Sample, measure_once, take_sample
from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.transform import augmentation_of
from clfctl.data.sources.base import Data
from clfctl.engine.assemble import Parts, build_parts, decide_workers, loss_weights, make_loader
from clfctl.engine.step import Normalize, Stepper
from clfctl.settings.groups import TrainSettings

N_WINDOWS = 5
N_MODEL_WINDOWS = 3  # a step is steadier than a loader, and may take seconds
Config = tuple[int, str]
Tick = Callable[[], None]


@dataclass
class Windows:
    """What was measured so far of each number of workers and kind of cache: images/s, and the most memory in bytes."""

    rates: dict[Config, list[float]] = field(default_factory=dict)
    memory: dict[Config, int] = field(default_factory=dict)

    def add(self, config: Config, rate: float, peak: int) -> None:
        """Add a window."""
        self.rates.setdefault(config, []).append(rate)
        self.memory[config] = max(peak, self.memory.get(config, 0))

    def rows(self) -> list[LoaderRow]:
        """Return a row for each of them."""
        return [LoaderRow(*each, Rates(tuple(rates)), self.memory[each]) for each, rates in self.rates.items()]


@dataclass
class Bench:
    """The parts of the training that is asked about, and a sample of its images."""

    settings: TrainSettings
    parts: Parts
    sample: Sample
    bad_images: BadImages
    caches: dict[str, SampleCache] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: TrainSettings, data: Data, read_s: float) -> "Bench":
        """Build the parts, and read a sample for about `read_s` seconds."""
        parts = build_parts(settings, data)
        settings = parts.settings
        sample = take_sample(data.train, settings.seed, read_s, 2 * settings.batch_size)
        return cls(settings, parts, sample, BadImages(settings.on_bad_image, sample.n_images))

    @cached_property
    def stepper(self) -> Stepper:
        """Training steps of the model."""
        parts = self.parts
        weights = loss_weights(parts)
        return Stepper(parts.built.model, parts.optimizer, parts.precision, self._normalize, self.settings, weights)

    @cached_property
    def _normalize(self) -> Normalize:
        return Normalize(self.parts.built.preprocess, self.parts.precision.device)

    def loader(self, workers: int, cache: str = NONE) -> Loader:
        """Return the loader that train would make, of the sample."""
        settings = TrainSettings.model_validate(self.settings.model_dump() | {"workers": workers, "cache": cache})
        preprocess, device = self.parts.built.preprocess, self.parts.precision.device
        loader = make_loader(settings, self.sample.part, preprocess, self.bad_images, device, settings.seed)
        return loader if cache == NONE else loader.reading(self.caches[cache].source)

    def make_cache(self, kind: CacheKind, data: Data, on_images: Callable[[int], None]) -> None:
        """Make a cache of the sample. Raises WriteError or DataError if that cannot be done."""
        preprocess = self.parts.built.preprocess
        self.caches[kind] = make_sample_cache(
            kind, self.settings, data, self.sample, preprocess, self.bad_images, on_images
        )

    @property
    def workers_of_auto(self) -> int:
        """The number of workers that `workers=auto` comes to here."""
        settings = self.settings.model_copy(update={"workers": "auto"})
        return decide_workers(settings, self.parts.data.train, self.parts.built.preprocess)

    def stages(self, seconds: float, on_batch: Tick) -> list[Stage]:
        """Time the stages one by one."""
        settings, device = self.settings, self.parts.precision.device

        def copy(images: torch.Tensor) -> None:
            self._normalize(images)
            wait_for(device)

        work = Work(
            self.sample.part,
            self.parts.built.preprocess,
            augmentation_of(settings),
            settings.batch_size,
            settings.seed,
            self.bad_images,
            copy,
        )
        return time_stages(work, seconds, on_batch)

    def feed_alone(self, configs: Sequence[Config], seconds: float, into: Windows, tick: Tick) -> None:
        """Measure the loader with its batches only counted, each configuration in its turn."""
        for _ in range(N_WINDOWS):
            for config in configs:
                loader = self.loader(*config)
                n_ahead, n_least = n_ahead_of(loader), 2 * max(1, loader.workers)
                into.add(config, *measure_once(loader_feed(loader), n_ahead, seconds, n_least))
                tick()

    def model_alone(self, seconds: float, into: list[float], tick: Tick) -> None:
        """Measure training steps on one real batch."""
        batch = next(each for each in self.loader(0).batches() if self.stepper.can_train_on(each))
        for rate in model_rate(self.stepper, batch, seconds, N_MODEL_WINDOWS):
            into.append(rate)
            tick()

    def train(self, configs: Sequence[Config], seconds: float, into: Windows, tick: Tick) -> None:
        """Measure training steps on batches from the loader, each configuration in its turn."""
        for _ in range(N_MODEL_WINDOWS):
            for config in configs:
                loader = self.loader(*config)
                n_ahead = n_ahead_of(loader)
                into.add(config, *measure_once(endless_steps(self.stepper, loader), n_ahead, seconds, 1))
                tick()

    def rivals(
        self,
        names: Sequence[str],
        files: Files,
        ours: Sequence[Config],
        seconds: float,
        into: dict[str, list[float]],
        tick: Tick,
    ) -> None:
        """Measure our configurations, and the feeds of others with as many workers as the first of ours, in turns."""
        workers = ours[0][0]
        size, batch_size = self.parts.built.preprocess.size, self.settings.batch_size
        runners = {}
        for config in ours:
            loader = self.loader(*config)
            name = "clfctl" if config[1] == NONE else f"clfctl `cache={config[1]}`"
            runners[name] = Runner(loader_feed(loader), n_ahead_of(loader), batch_size)
        feeds = {"torchvision": torchvision_feed, "dali": dali_feed}
        for name in names:
            runners[name] = Runner(feeds[name](files, size, batch_size, workers), n_ahead_of_rival(workers), batch_size)
        take_turns(runners, seconds, N_WINDOWS, into, tick)
