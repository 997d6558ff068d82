"""What a server counts, for Prometheus."""

from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from clfctl.errors import ClfctlError
from clfctl.inference.prediction import Prediction

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
IMAGES = (1, 2, 4, 8, 16, 32, 64)
# Other paths than those of the server are one: a stranger could make up any number of them.
OTHER = "other"


class Numbers:
    """Counters, gauges and histograms of one server."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        # A line more for each, which says when it was first counted.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it says nothing of types
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "clfctl_requests", "Requests that were answered, by path and HTTP status.", ("path", "status"),
            registry=registry,
        )  # fmt: skip
        self.request_s = Histogram(
            "clfctl_request_seconds", "Time from the head of a request to /predict to its answer.",
            registry=registry, buckets=SECONDS,
        )  # fmt: skip
        self.images = Counter(
            "clfctl_images", "Images, by what became of them: answered, unreadable, failed.", ("result",),
            registry=registry,
        )  # fmt: skip
        self.refused = Counter(
            "clfctl_refused", "Requests refused for want of room: in the queue, or in memory.", ("reason",),
            registry=registry,
        )  # fmt: skip
        self.batch_images = Histogram(
            "clfctl_batch_images", "Images that were computed at once.", registry=registry, buckets=IMAGES
        )
        self.batch_s = Histogram(
            "clfctl_batch_seconds", "Time to decode and compute a batch.", registry=registry, buckets=SECONDS
        )
        self.loads = Counter(
            "clfctl_model_loads", "Changed model files that were found, by whether they could be loaded.", ("result",),
            registry=registry,
        )  # fmt: skip
        self.model = Gauge("clfctl_model_info", "The model that answers.", ("name", "mark"), registry=registry)
        self.queue = Gauge("clfctl_waiting_images", "Images that wait for their turn.", registry=registry)

    def watch_queue(self, count: Callable[[], int]) -> None:
        """Have the number of waiting images asked for when it is wanted."""
        self.queue.set_function(count)

    def add_request(self, status: int, path: str = OTHER) -> None:
        """Count a request that was answered."""
        self.requests.labels(path, status).inc()

    def add_batch(self, found: "Sequence[Prediction | ClfctlError]", took_s: float) -> None:
        """Count a batch and its images."""
        self.batch_images.observe(len(found))
        self.batch_s.observe(took_s)
        for each in found:
            failed = "failed" if isinstance(each, ClfctlError) else "unreadable" if each.error else "answered"
            self.images.labels(failed).inc()

    def show_model(self, name: str, mark: str) -> None:
        """Say which model answers."""
        self.model.clear()
        self.model.labels(name, mark).set(1)

    def text(self) -> bytes:
        """Return all of it in the text format that Prometheus reads."""
        return generate_latest(self.registry)
